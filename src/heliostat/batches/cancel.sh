# Notes in each directory that its job is to stop; what was never submitted never will be.
#
# $1: what comes before the number of each directory in what is said of it; $2: the grace in seconds
# $3 and on: directories
# For each directory: a line with the mark and its number, a line with a word, and more of it, as submit.sh does.

trap '' HUP INT TERM PIPE
mark=$1 grace=$2 held= busy=
shift 2

one() {
    cd -- "$1" 2> /dev/null || { echo "gone"; return; }
    [ ! -e job.exit_code ] || { echo "ended"; return; }
    if [ ! -e job.stop ]; then
        mine=.job.stop.$$.$number
        printf '%s\n' "reason cancelled" "since $(date +%s)" "grace $grace" > "$mine"
        ln "$mine" job.stop 2> /dev/null
        rm -f "$mine"
    fi
    # Several directories may have the same lock, which is taken, or waited for in vain, once.
    if [ job.lock -ef "$busy" ]; then
        echo "busy"
        return
    elif [ ! job.lock -ef "$held" ]; then
        held=
        command exec 9>> job.lock || { echo "failed"; return; }
        flock -w 10 9 || { echo "busy"; busy=$PWD/job.lock; return; }
        held=$PWD/job.lock
    fi
    if [ -s job.claim ]; then
        echo "claim"
        cat job.claim
    elif [ -s job.id ]; then
        echo "id"
        cat job.id
    elif [ -e job.submitting ]; then
        echo "begun"
        cat job.submitting
    else
        [ -e job.array ] || printf '' > job.void
        echo "void"
    fi
}

number=0
for directory; do
    echo "$mark $number"
    number=$((number + 1))
    one "$directory"
done
exit 0
