#!/bin/sh
# Runs job.command once in this directory, however often it is started, and keeps its exit code in job.exit_code.
# Arguments: the boot of this machine, its name, and the time-out in seconds or nothing.

# Variables would reach the command through the environment, so outside of ( ) it has none.

# Signals are for the command. This script goes on, to write down how the command took them.
trap : HUP INT TERM

# Only one claim can be linked, and it is there with all that it says. Who comes second leaves.
(
    if [ -r /proc/$$/stat ]; then
        read -r stat < /proc/$$/stat
        read -r now idle < /proc/uptime
        boot=$1 host=$2 timeout=$3
        set -- ${stat##*) } # the fields from the third on; the 22nd is the begin of the process
        start=${20}
    else
        start=$(LC_ALL=C command -p ps -o lstart= -p $$)
        now=$(command -p date +%s)
        boot=$1 host=$2 timeout=$3
    fi
    mine=.job.claim.$host.$$
    printf '%s\n' "pid $$" "start $start" "now $now" \
        "boot $boot" "host $host" "timeout $timeout" > "$mine" || exit 1
    command -p ln "$mine" job.claim && exit 0
    command -p rm -f "$mine"
    exit 1
) || exit 0
exec > stdout 2> stderr # whoever submitted this reads until here, and knows now that it has begun
command -p rm -f .job.claim.* # others that are about to link theirs come too late anyway

(
    [ ! -e job.stop ] || exit 143 # a TERM that came too early to end this ( ) came after that file
    [ ! -f job.container ] || exec /bin/sh ./job.container
    exec /bin/sh ./job.command
)
code=$?
command -p rm -f job.env # of a container's, should somebody have written it late
echo $code > job.exit_code.tmp && command -p mv -f job.exit_code.tmp job.exit_code
kill -s KILL -- -$$ # nothing that the command left running outlives the job
