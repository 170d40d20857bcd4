
# Runs a command, "$@", in a container; what is not said above of it is found here.
#
#   image     what engines (docker, podman) call it, or nothing where it is for apptainer alone
#   address   what apptainer calls it
#   tool      the program that was asked for, or nothing; "options" are its own, quoted
#   known     those that are looked for where none was asked for
#   job       of which node it is, for people; "queue" in which
#   here      this directory, which is all that the container has of the machine
#   name      of the container
#   given     the variables that it is given; their values stand in job.env, behind heliostat_env_
#   marked    whether the command says itself that it has begun
#
# A container of an engine is no child of this script, and would outlive it. So there is a guard, which is not of its
# group and reads from a pipe that only this script holds: when that comes to its end, the container has to go, too.

stopped=
trap 'stopped=1' HUP INT TERM # those are for the command

unbegun() {
    printf '%s\n' "$1" > job.unbegun
    exit "$2"
}

host=$(uname -n)
program=
look() {
    program=$(command -v "$1") && kind=${1##*/}
}
if [ -n "$tool" ]; then
    look "$tool" || unbegun "$tool, which queue $queue names for containers, was not found on $host; \
job $job wants image $address" 127
else
    for word in $known; do
        look "$word" && break
    done
    [ -n "$program" ] || unbegun "nothing that runs containers ($known) was found on $host, and job $job of queue \
$queue wants image $address; install one there, or say where it is: [queues.$queue] containers = \"/opt/bin/apptainer\"" 127
fi
if [ "$kind" = docker ]; then
    case $("$program" --version 2> /dev/null) in podman*) kind=podman ;; esac # it is called so in some places
fi

if [ -f job.env ]; then
    . ./job.env
    command -p rm -f job.env
fi
passed="HELIOSTAT_JOB CUDA_VISIBLE_DEVICES OMP_NUM_THREADS
    $(env | command -p sed -n 's/^\(SLURM_[A-Za-z0-9_]*\)=.*/\1/p; s/^\(PBS_[A-Za-z0-9_]*\)=.*/\1/p')"

# From here on, "$@" grows at its head until it is all of the command line. No value stands in it, for all can see it.
case $kind in
    apptainer | singularity)
        own=255
        set -- --cleanenv --home "$here" --pwd "$here" "$address" "$@"
        eval "set -- exec $options \"\$@\""
        ;;
    *)
        own=125
        [ -n "$image" ] || unbegun "$kind, on $host, cannot run image $address of job $job: that is for apptainer; \
give image= a name such as python:3.12, or queue $queue another tool" 127
        first=$1
        shift
        set -- "$image" "$@"
        for each in $given; do
            case $each in
                PATH) set -- --env "PATH=$heliostat_env_PATH" "$@" ;; # that of the program stays another
                *) set -- --env "$each" "$@" ;;
            esac
        done
        for each in $passed; do
            eval "[ -z \"\${$each+set}\" ]" || set -- --env "$each" "$@"
        done
        set -- --workdir "$here" --env "HOME=$here" --entrypoint "$first" "$@"
        set -- --mount "type=bind,source=$here,target=$here" "$@"
        who=$(id -u):$(id -g) # whose the files are to be
        [ "$kind" = podman ] || rootless=$("$program" info --format '{{.SecurityOptions}}' 2> /dev/null)
        case $kind:$who:$rootless in
            docker:*rootless*) ;; # in which root is who calls
            podman:[1-9]*) set -- --userns keep-id --user "$who" "$@" ;;
            *) set -- --user "$who" "$@" ;;
        esac
        eval "set -- run --rm --init --name \"\$name\" $options \"\$@\""
        ;;
esac

if [ "$own" = 125 ]; then
    command -p mkfifo .job.alive && : > job.guard || unbegun "$here takes no file on $host" 126
    apart=
    if command -v setsid > /dev/null; then apart=setsid; else set -m; fi
    $apart /bin/sh -c '
        trap "" HUP INT TERM
        read -r said
        [ "$said" = over ] || "$1" kill "$2" # to remove it alone is to ask it first, and wait ten seconds, in podman
        "$1" rm --force "$2"
        [ "$said" = over ] || { sleep 3; "$1" rm --force "$2"; } # it may have come to be only now
        rm -f job.guard
        [ "$said" = over ] || for seconds in 10 40; do # on a machine that is very busy, later still
            sleep $seconds
            "$1" rm --force "$2"
        done
    ' guard "$program" "$name" < .job.alive > /dev/null 2>&1 &
    set +m
    exec 8> .job.alive
    command -p rm -f .job.alive
fi

[ -z "$stopped" ] || exit 143
set -- "$program" "$@"
( # in which variables of any name are set, and nothing but "$@" is used any more
    export APPTAINER_NO_EVAL=true SINGULARITY_NO_EVAL=true # values are no shell
    case $kind in
        apptainer) heliostat_prefix=APPTAINERENV_ ;;
        singularity) heliostat_prefix=SINGULARITYENV_ ;;
        *) heliostat_prefix= passed= ;;
    esac
    for heliostat_each in $passed; do
        eval "[ -z \"\${$heliostat_each+set}\" ] || export $heliostat_prefix$heliostat_each=\"\$$heliostat_each\""
    done
    for heliostat_each in $given; do
        [ "$heliostat_prefix$heliostat_each" = PATH ] ||
            eval "export $heliostat_prefix$heliostat_each=\"\$heliostat_env_$heliostat_each\""
    done
    exec "$@" 8>&- # which is the script's alone
)
code=$?
[ "$own" = 255 ] || echo over >&8

[ "$code" != 0 ] && [ -z "$stopped" ] || exit "$code"
about="job $job of queue $queue with image $address"
if [ -n "$marked" ] && [ ! -e job.begun ]; then
    unbegun "$kind, on $host, did not start $about (exit code $code)" "$code"
elif [ -z "$marked" ] && [ "$code" = "$own" ]; then
    unbegun "exit code $code, by which $kind, on $host, says that it did not start $about" "$code"
fi
exit "$code"
