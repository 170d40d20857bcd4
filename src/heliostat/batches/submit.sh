# Submits the script of each directory, if that was not done before. It goes on to its end whoever is gone meanwhile.
#
# $1: what comes before the number of each directory in what is said of it
# $2: new      submit; where a submission was begun that left no handle, answer "begun", for somebody has to look first
#     anew     submit, also where one was begun: somebody has looked, and there is no such job
#     void     see to it that it will never be submitted, unless it was; "begun" as above
#     voidanew the same, also where one was begun
#     adopt    keep the handle $3, which was found
# $3: a handle, or nothing; $4 and on: directories, each with the name of its job behind it
#
# For each directory: a line with the mark and its number, a line with a word, and more of it.

trap '' HUP INT TERM PIPE
mark=$1 mode=$2 handle=$3 held= busy=
shift 3

# Of one directory, in this shell: each process more would be one more for every job.
one() {
    cd -- "$1" 2> /dev/null || { echo "gone"; return; }
    # Several directories may have the same lock, which is taken, or waited for in vain, once.
    if [ job.lock -ef "$busy" ]; then
        echo "busy"
        return
    elif [ ! job.lock -ef "$held" ]; then
        held=
        command exec 9>> job.lock || { echo "failed"; echo "cannot write in $1"; return; }
        # what is begun below has the lock too: as long as it runs, nobody else gets it
        flock -w 10 9 || { echo "busy"; busy=$PWD/job.lock; return; }
        held=$PWD/job.lock
    fi
    if [ -s job.claim ]; then
        echo "claim"
        cat job.claim
    elif [ -s job.id ]; then
        echo "id"
        cat job.id
    elif [ -e job.void ]; then
        echo "void"
    elif [ "$mode" = adopt ]; then
        printf '%s\n' "$handle" > job.id.tmp && mv -f job.id.tmp job.id
        echo "id"
        printf '%s\n' "$handle"
    elif [ -e job.submitting ] && { [ "$mode" = new ] || [ "$mode" = void ]; }; then
        echo "begun"
        cat job.submitting
    elif [ "$mode" = void ] || [ "$mode" = voidanew ]; then
        printf '' > job.void && echo "void"
    else
        printf '%s\n' "$2" > job.submitting || { echo "failed"; echo "cannot write in $1"; return; }
        set -- job.script
        # Into a file: for $( ) this shell would have to be copied, which takes a quarter of what is its part of a job.
        if { SUBMIT; } > job.answer 2> job.said < /dev/null; then
            said=
            while IFS= read -r line || [ -n "$line" ]; do
                said="$said$line
"
            done < job.answer
            printf '%s' "$said" > job.id # should it be cut short, the job is found by its name
            echo "id"
            printf '%s' "$said"
        else
            echo "failed"
            cat job.said
            echo # neither has to end with a line break
            cat job.answer
            echo
        fi
    fi
}

number=0
# All of it is said in one piece: whoever reads it is woken once.
all=$(
    while [ $# -gt 0 ]; do
        echo "$mark $number"
        number=$((number + 1))
        one "$1" "$2"
        shift 2
    done
)
printf '%s\n' "$all"
exit 0
