#!/bin/bash
# Runs job.command once in this directory, however often it is started, and keeps its exit code in job.exit_code.
# Arguments: the handle of the job, the time-out in seconds or nothing, and the grace between TERM and KILL.

if [ "$1" = run ]; then
    # In a group of its own, whose signals are for the command. This script goes on, to write down how it took them.
    trap : HUP INT TERM
    sleep 2147483647 < /dev/null > /dev/null 2>&1 & # ended by a signal that came to all processes
    echo $! > job.sleeper
    (
        [ ! -e job.stop ] || exit 143 # a TERM that came too early for the command came after that file
        [ ! -f job.container ] || exec /bin/sh ./job.container # which sees to its variables
        if [ -f job.env ]; then
            . ./job.env # after which PATH may be another
            command -p rm -f job.env
        fi
        exec /bin/sh ./job.command
    )
    echo $? > job.exit_code.tmp
    exit
fi

handle=$1 timeout=$2 grace=$3

# Only one claim can be linked, and it is there with all that it says. Who comes second leaves.
[ ! -e job.claim ] || exit 0
mine=.job.claim.$$.$(uname -n)
printf '%s\n' "handle $handle" "host $(uname -n)" "pid $$" "since $(date +%s)" "timeout $timeout" > "$mine" || exit 1
ln "$mine" job.claim
claimed=$?
rm -f "$mine"
[ $claimed = 0 ] || exit 1

HELIOSTAT_JOB=$PWD
export HELIOSTAT_JOB
child=
# The scheduler ends the job: it will say why. Most tell all processes, and then the command has heard it; where the
# sleeper beside it has not, it is passed on, once.
told() {
    printf '' > job.term
    [ -n "$child" ] || return
    sleep 0.3
    { read -r sleeper < job.sleeper && ! kill -0 "$sleeper"; } 2> /dev/null || kill -s TERM -- "-$child" 2> /dev/null
}
trap told HUP INT TERM
# A group of processes, which is what -m makes of a command. A session of its own would escape from schedulers that know
# a job by its session.
set -m
/bin/sh ./job.sh run < /dev/null > stdout 2> stderr &
child=$!
set +m

# A nap says when its time is over. It can be ended before, with the sleep inside.
nap() {
    trap '[ -z "$sleep" ] || kill "$sleep"; exit' TERM
    sleep=
    sleep "$1" &
    sleep=$!
    wait "$sleep" && kill -s "$2" $$
}
overdue() {
    mine=.job.stop.$$
    printf '%s\n' "reason timed out after $timeout s" "since $(date +%s)" "grace $grace" > "$mine"
    ln "$mine" job.stop 2> /dev/null
    rm -f "$mine"
    kill -s TERM -- "-$child" 2> /dev/null
    nap "$grace" USR2 &
    naps="$naps $!"
}
naps=
if [ -n "$timeout" ]; then
    trap overdue USR1
    trap 'kill -s KILL -- "-$child" 2> /dev/null' USR2
    nap "$timeout" USR1 &
    naps=$!
fi

while kill -0 "$child" 2> /dev/null; do
    wait "$child"
done
[ -z "$naps" ] || kill $naps 2> /dev/null

# In a folder for all jobs, where nobody has to look at each. If it comes first, who hears of it finds an exit code soon;
# if it came last, it could be left over from a job that nobody knows any more.
run=${PWD%/*}
printf '' 2> /dev/null > "../../.ended/${run##*/}.${PWD##*/}"

[ -s job.exit_code.tmp ] || echo 137 > job.exit_code.tmp # it was killed before it could write that
kill -s KILL -- "-$child" 2> /dev/null # nothing that the command left running outlives the job
tries=150
while [ -e job.guard ] && [ $((tries -= 1)) -gt 0 ]; do sleep 0.2; done # nor does a container, which is being removed
rm -f job.env
mv -f job.exit_code.tmp job.exit_code
read -r code < job.exit_code
exit "$code"
