"""PBS in a directory: qsub, qstat, qdel, qhold, qrls and qselect that run jobs for real, and the server behind them.

    python -I -S tests/pbs_commands.py SPOOL COMMAND ARGUMENTS...      (COMMAND serve is the server)

No PBS can be installed where these tests run, so this prints what OpenPBS and Torque are documented to print, and does
with jobs what they do: output that comes when a job has ended, limits that kill, a history or none, states that pass.
Whatever a test wants to go wrong is said in SPOOL/faults/COMMAND: see ``fault``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from xml.sax.saxutils import escape

TICK_SECONDS = 0.03
SIZE_SECONDS = 0.2  # between looks at what jobs have in memory
UNKNOWN, HISTORY, NO_HISTORY, NO_QUEUE, NO_ROOM, DENIED = (
    153,
    35,
    36,
    170,
    188,
    159,
)  # PBS's error numbers, as exit codes have them


class Spool:
    """Jobs as files, under one lock; ``settings`` are those of the server."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.settings = json.loads((self.directory / "settings").read_text())
        self.torque = self.settings["flavour"] == "torque"
        self.over = "C" if self.torque else "F"
        self.known = {}

    @contextlib.contextmanager
    def lock(self):
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def jobs(self):
        """All of them, in order; of files that are as they were when it looked last, none is read again."""
        found = {}
        with os.scandir(self.directory / "jobs") as files:
            for file in files:
                if not file.name.endswith(".new"):
                    now, known = (file.inode(), file.stat().st_mtime_ns), self.known.get(file.name)
                    same = known is not None and known[0] == now
                    found[file.name] = known if same else (now, json.loads(Path(file.path).read_text()))
        self.known = found
        jobs = [{**job} for _, job in found.values()]
        return sorted(jobs, key=lambda job: (job["number"], job["index"] is not None, job["index"] or 0))

    def keep(self, job):
        path = self.directory / "jobs" / job["id"]
        new = path.with_suffix(".new")
        new.write_text(json.dumps(job))
        new.replace(path)

    def drop(self, job):
        (self.directory / "jobs" / job["id"]).unlink(missing_ok=True)

    def next(self):
        path = self.directory / "next"
        number = int(path.read_text()) if path.exists() else 1001
        path.write_text(str(number + 1))
        return number

    def full(self, given):
        return given if "." in given else f"{given}.{self.settings['server']}"


def complain(command, text, status):
    print(f"{command}: {text}", file=sys.stderr)
    return status


def fault(spool, command):
    """What is to go wrong with a command: ``delay`` and ``hang`` before it, ``said`` and ``status`` in its place.

    With ``swallow`` it does its work, and whoever called it never hears of that. ``times`` says how often.
    """
    path = spool.directory / "faults" / command
    try:
        wanted = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    if "times" in wanted:
        wanted["times"] -= 1
        path.unlink() if wanted["times"] <= 0 else path.write_text(json.dumps(wanted))
    return wanted


# --- qsub


OPTIONS = "AajcCeIJklmMNopPqrRSTtuvVWhz"
FLAGS = "hIVz"


def qsub(spool, arguments):
    options, rest = parsed(arguments)
    text = Path(rest[0]).read_text() if rest and rest[0] != "-" else sys.stdin.read()
    for line in text.splitlines():
        if line.startswith("#PBS"):
            given, extra = parsed(words(line[4:]))
            if given is None or extra:
                return complain("qsub", f"directive error: {line[4:].strip()}", 1)
            for name, values in given.items():
                options[name] = (values + options.get(name, [])) if name in "lWv" else options.get(name, values)
        elif line.strip() and not line.startswith("#"):
            break
    return submitted(spool, options, text, Path(rest[0]).name if rest and rest[0] != "-" else "STDIN")


def words(line):
    import shlex

    return shlex.split(line)


def parsed(arguments):
    options, rest, left = {}, [], list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word == "-" or rest:
            rest.append(word)
        elif word[1] in FLAGS:
            options.setdefault(word[1], []).append("")
        elif word[1] in OPTIONS:
            options.setdefault(word[1], []).append(word[2:] or (left.pop(0) if left else ""))
        else:
            print(f"qsub: invalid option -- '{word[1]}'\nusage: qsub [-a date_time] ...", file=sys.stderr)
            sys.exit(2)
    return options, rest


def submitted(spool, options, text, called):
    settings = spool.settings
    last = {name: values[-1] for name, values in options.items()}
    queue = last.get("q", settings["queue"])
    if queue not in settings["queues"]:
        return complain("qsub", "Unknown queue", NO_QUEUE)
    if settings["accounts"] and last.get("A") not in settings["accounts"]:
        return complain("qsub", f"Unauthorized Request  account {last.get('A', '')!r} may not submit", DENIED)
    asked = ",".join(options.get("l", []))
    resources = read_resources(asked)
    if resources["ncpus"] > settings["largest"]:
        return complain("qsub", "Job violates queue and/or server resource limits", NO_ROOM)
    name = last.get("N", called)
    if len(name) > (15 if spool.torque else 230):
        return complain("qsub", "Job_Name too long" if spool.torque else "illegal -N value", 2 if spool.torque else 1)
    here = os.getcwd()
    with spool.lock():
        number = spool.next()
        script = spool.directory / "scripts" / str(number)
        script.write_text(text)
        script.chmod(0o700)
        job = {
            "number": number,
            "index": None,
            "array": None,
            "name": name,
            "queue": queue,
            "state": "Q",
            "asked": asked,
            "resources": resources,
            "script": str(script),
            "shell": last.get("S", "/bin/sh"),
            "cwd": here,
            "account": last.get("A"),
            "owner": pwd.getpwuid(os.getuid()).pw_name,
            "out": last.get("o"),
            "err": last.get("e"),
            "join": last.get("j", "n"),
            "rerun": last.get("r", "y"),
            "ctime": time.time(),
            "environment": environment(options, here, queue),
            "run_count": 0,
        }
        job["state"] = "H" if "h" in options else "Q"
        array = last.get("t" if spool.torque else "J")
        job["id"] = f"{number}[].{settings['server']}" if array else f"{number}.{settings['server']}"
        if array:
            job["array"] = array
            for index in indices(array):
                spool.keep({**job, "index": index, "array": None, "id": f"{number}[{index}].{settings['server']}"})
        spool.keep(job)
        with (spool.directory / "submissions").open("a") as log:
            log.write(f"{job['id']} {name}\n")
    print(job["id"])
    return 0


def indices(array):
    found = []
    for part in array.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        last, _, step = last.partition(":")
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


def environment(options, here, queue):
    given = {f"PBS_O_{name}": os.environ.get(name, "") for name in ("HOME", "LANG", "LOGNAME", "PATH", "SHELL")}
    given |= {"PBS_O_WORKDIR": here, "PBS_O_QUEUE": queue, "PBS_O_HOST": socket.gethostname()}
    for pair in ",".join(options.get("v", [])).split(","):
        name, equals, value = pair.partition("=")
        if name:
            given[name] = value if equals else os.environ.get(name, "")
    return {**os.environ, **given} if "V" in options else given


def read_resources(asked):
    """Cores, memory in bytes and seconds, of ``select=…`` and of ``nodes=…:ppn=…``."""
    cores, memory, walltime = 1, None, None
    for part in filter(None, asked.split(",")):
        name, _, value = part.partition("=")
        if name in ("select", "nodes"):
            count, *pieces = value.split(":")
            chunk = dict(piece.partition("=")[::2] for piece in pieces)
            cores = int(count) * int(chunk.get("ncpus") or chunk.get("ppn") or 1)
            memory = int(count) * size(chunk["mem"]) if "mem" in chunk else memory
        elif name == "ncpus":
            cores = int(value)
        elif name == "mem":
            memory = size(value)
        elif name == "walltime":
            walltime = sum(int(each) * 60**power for power, each in enumerate(reversed(value.split(":"))))
    return {"ncpus": cores, "mem": memory, "walltime": walltime}


def size(text):
    amount, unit = re.fullmatch(r"(\d+)([kmgt]?)b?", text.lower()).groups()
    return int(amount) * 1024 ** " kmgt".index(unit or " ")


# --- qstat, qselect


def qstat(spool, arguments):
    if "--version" in arguments:
        print("Version: 6.1.2" if spool.torque else "pbs_version = 22.05.11")
        return 0
    if "-B" in arguments:
        print("Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext Status")
        print(
            f"{spool.settings['server']:<15} {0:>6} {len(spool.jobs()):>5} {0:>5} {0:>5} {0:>5} {0:>5} {0:>5} {0:>5} Active"
        )
        return 0
    flags = {flag for word in arguments if re.fullmatch(r"-[fxtJ1]+", word) for flag in word[1:]}
    as_json = any(word == "json" for word in arguments)
    ids = [word for word in arguments if word[0].isdigit()]
    if "x" in flags and not spool.torque and not spool.settings["history"]:
        return complain("qstat", "PBS is not configured to maintain job history", NO_HISTORY)
    with spool.lock():
        jobs = spool.jobs()
    history = "x" in flags or spool.torque
    status, shown = 0, []
    if not ids:
        shown = [
            job for job in jobs if (history or job["state"] != spool.over) and (job["index"] is None or "t" in flags)
        ]
    known = {job["id"]: job for job in jobs}
    for given in ids:
        job = known.get(spool.full(given))
        if job is None:
            word = "Unknown Job Id Error" if spool.torque else "Unknown Job Id"
            status = complain("qstat", f"{word} {spool.full(given)}", UNKNOWN)
        elif job["state"] == spool.over and not history:
            text = f"{job['id']} Job has finished, use -x or -H to obtain historical job information"
            status = complain("qstat", text, HISTORY)
        else:
            shown.append(job)
            if "t" in flags and job["array"]:
                shown += [each for each in jobs if each["number"] == job["number"] and each["index"] is not None]
    if spool.torque and "x" in flags:
        if shown:
            print("<Data>" + "".join(as_xml(spool, job) for job in shown) + "</Data>")
    elif as_json:
        print(in_json(spool, shown))
    elif "f" in flags:
        for job in shown:
            print(f"Job Id: {job['id']}")
            for name, value in attributes(spool, job).items():
                pairs = (
                    {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
                )
                for key, each in pairs.items():
                    print(f"    {key} = {each}")
            print()
    else:
        print("Job id            Name             User              Time Use S Queue")
        print("----------------  ---------------- ----------------  -------- - -----")
        for job in shown:
            print(f"{job['id']:<17} {job['name'][:16]:<16} {job['owner']:<16} {'0':>9} {job['state']} {job['queue']}")
    return status


def qselect(spool, arguments):
    name = arguments[arguments.index("-N") + 1] if "-N" in arguments else None
    with spool.lock():
        for job in spool.jobs():
            listed = "-x" in arguments or spool.torque or job["state"] != spool.over
            if listed and job["index"] is None and name in (None, job["name"]):
                print(job["id"])
    return 0


def attributes(spool, job):
    """What is told of a job, in the order in which it is told."""
    host, settings = socket.gethostname(), spool.settings
    used = job.get("used")
    told = {"Job_Name": job["name"], "Job_Owner": f"{job['owner']}@{host}"}
    if used:
        told["resources_used"] = {
            "cpupercent": 0,
            "cput": "00:00:00",
            "mem": f"{used['mem'] // 1024}kb",
            "ncpus": job["resources"]["ncpus"],
            "vmem": "0kb",
            "walltime": clock(used["walltime"]),
        }
    told |= {"job_state": job["state"], "queue": job["queue"], "server": settings["server"], "Checkpoint": "u"}
    if job["account"]:
        told["Account_Name"] = job["account"]
    stamp = (
        (lambda at: int(at)) if spool.torque else (lambda at: time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(at)))
    )
    told |= {"ctime": stamp(job["ctime"]), "Error_Path": f"{host}:{where(job, 'e')}"}
    if "stime" in job:
        told["exec_host"] = f"{host}/0"
        if not spool.torque:
            told["exec_vnode"] = f"({host}:ncpus={job['resources']['ncpus']})"
    told |= {"Hold_Types": "u" if job["state"] == "H" else "n", "Join_Path": job["join"], "Keep_Files": "n"}
    told |= {"mtime": stamp(job["ctime"]), "Output_Path": f"{host}:{where(job, 'o')}", "Priority": 0}
    told |= {"qtime": stamp(job["ctime"]), "Rerunable": "False" if job["rerun"] == "n" else "True"}
    asked = {name: value for name, _, value in (part.partition("=") for part in job["asked"].split(",")) if name}
    told["Resource_List"] = {**asked, "nodect": 1}
    if "stime" in job:
        told["stime"] = stamp(job["stime"])
    if not spool.torque:
        told["substate"] = {"Q": 10, "H": 20, "R": 42, "B": 7, "E": 50, "F": 92}.get(job["state"], 10)
    told["Variable_List"] = job["environment"]
    if job.get("comment"):
        told["comment"] = job["comment"]
    told["etime"] = stamp(job["ctime"])
    if not spool.torque:
        told["run_count"] = job["run_count"]
    if job["array"]:
        told |= {"array": "True", "array_indices_submitted": job["array"]}
    if job["index"] is not None and not spool.torque:
        told |= {"array_id": re.sub(r"\[\d+\]", "[]", job["id"]), "array_index": job["index"]}
    if job.get("status") is not None and job["state"] == spool.over:
        told["exit_status" if spool.torque else "Exit_status"] = job["status"]
    return told


def where(job, which):
    given = job["out" if which == "o" else "err"]
    index = "" if job["index"] is None else f".{job['index']}"
    if given and job["index"] is not None:
        marked = "^array_index^" in given
        given = given.replace("^array_index^", str(job["index"])) if marked else f"{given}-{job['index']}"
    return str(Path(job["cwd"], given or f"{job['name']}.{which}{job['number']}{index}"))


def clock(seconds):
    return f"{int(seconds) // 3600:02}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def in_json(spool, jobs):
    """JSON as OpenPBS writes it: what begins like a number is one, be it JSON's or not."""

    def value(given):
        if isinstance(given, dict):
            return "{" + ",".join(f"{json.dumps(name)}:{value(each)}" for name, each in given.items()) + "}"
        text = str(given)
        try:
            float(text)
        except ValueError:
            return json.dumps(text)
        return text

    head = (
        f'"timestamp":{int(time.time())},\n    "pbs_version":"22.05.11",\n    "pbs_server":"{spool.settings["server"]}"'
    )
    each = ",\n".join(f"        {json.dumps(job['id'])}:{value(attributes(spool, job))}" for job in jobs)
    return "{\n    " + head + (f',\n    "Jobs":{{\n{each}\n    }}' if jobs else "") + "\n}"


def as_xml(spool, job):
    def inner(name, given):
        if name == "Variable_List":
            text = ",".join(f"{key}={each}" for key, each in given.items())
        elif isinstance(given, dict):
            return f"<{name}>" + "".join(inner(key, each) for key, each in given.items()) + f"</{name}>"
        else:
            text = str(given)
        return f"<{name}>{escape(text)}</{name}>"

    each = "".join(inner(name, value) for name, value in attributes(spool, job).items())
    return f"<Job><Job_Id>{job['id']}</Job_Id>{each}</Job>"


# --- qdel, qhold, qrls


def qdel(spool, arguments):
    status = 0
    for given in (word for word in arguments if word[0].isdigit()):
        with spool.lock():
            known = {job["id"]: job for job in spool.jobs()}
            job = known.get(spool.full(given))
            if job is None:
                status = complain("qdel", f"Unknown Job Id {spool.full(given)}", UNKNOWN)
            elif job["state"] == spool.over:
                status = complain("qdel", f"Job has finished {job['id']}", HISTORY)
            else:
                parts = [each for each in known.values() if each["number"] == job["number"]] if job["array"] else [job]
                for each in parts:
                    if each["state"] != spool.over:
                        delete(spool, each)
    return status


def delete(spool, job):
    if "pid" in job:
        spool.keep({**job, "delete": True})
    else:
        end(spool, job, None, "terminated")


def end(spool, job, status, word):
    """A job is over; without a history nobody hears of it any more."""
    comment = "" if spool.torque else f"{job.get('comment', 'Job never ran')} and {word}"
    if spool.settings["history"]:
        spool.keep({**job, "state": spool.over, "status": status, "comment": comment, "ended": time.time()})
    else:
        spool.drop(job)


def qsig(spool, arguments):
    number = signal.Signals[arguments[arguments.index("-s") + 1]]
    with spool.lock():
        for job in spool.jobs():
            if job["id"] in map(spool.full, arguments) and job["state"] == "R":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(job["pid"], number)
    return 0


def qhold(spool, arguments):
    return switched(spool, arguments, "Q", "H")


def qrls(spool, arguments):
    return switched(spool, arguments, "H", "Q")


def switched(spool, arguments, old, new):
    with spool.lock():
        for job in spool.jobs():
            if job["id"] in map(spool.full, arguments) and job["state"] == old:
                spool.keep({**job, "state": new})
    return 0


# --- the server


class Server:
    """Starts jobs while there are cores, sees how they end, and ends those that use more than they asked for."""

    def __init__(self, spool):
        self.spool, self.children = spool, {}
        self.sizes, self.sized_at = {}, 0.0

    def serve(self):
        """Look often while something runs or has changed, and else once a second."""
        seen, looked_at = None, 0.0
        while True:
            with self.spool.lock():
                text = (self.spool.directory / "settings").read_text()
                now = (text, (self.spool.directory / "jobs").stat().st_mtime_ns)
                if self.children or now != seen or time.monotonic() > looked_at + 1:
                    seen, looked_at, self.spool.settings = now, time.monotonic(), json.loads(text)
                    self.tick()
            time.sleep(TICK_SECONDS)

    def tick(self):
        jobs = self.spool.jobs()
        if self.children and time.monotonic() > self.sized_at + SIZE_SECONDS:
            self.sizes, self.sized_at = sizes(), time.monotonic()
        for job in jobs:
            if job["id"] in self.children:
                self.look(job)
        busy = sum(job["resources"]["ncpus"] for job in jobs if job["id"] in self.children)
        for job in jobs:
            if job["state"] == "Q" and not job["array"]:
                if busy + job["resources"]["ncpus"] <= self.spool.settings["cores"]:
                    busy += job["resources"]["ncpus"]
                    self.start(job)
                elif not job.get("comment"):
                    said = "" if self.spool.torque else "Not Running: Insufficient amount of resource: ncpus "
                    self.spool.keep({**job, "comment": said})
        for job in jobs:
            if job["array"] and job["state"] != self.spool.over:
                self.sum_up(job)
            elif self.spool.torque and "ended" in job and time.time() > job["ended"] + self.spool.settings["keep"]:
                self.spool.drop(job)

    def sum_up(self, array):
        """The state of an array is that of its parts together."""
        parts = [job for job in self.spool.jobs() if job["number"] == array["number"] and job["index"] is not None]
        over = [job for job in parts if job["state"] == self.spool.over]
        if len(over) == len(parts):
            end(self.spool, array, int(any(job["status"] for job in over)), "finished")
        elif array["state"] == "Q" and any(job["state"] != "Q" for job in parts) and not self.spool.torque:
            self.spool.keep({**array, "state": "B"})

    def start(self, job):
        out, err = (self.spool.directory / "output" / f"{job['id']}.{which}" for which in ("OU", "ER"))
        index = {("PBS_ARRAYID" if self.spool.torque else "PBS_ARRAY_INDEX"): str(job["index"])}
        with out.open("wb") as stdout, err.open("wb") as stderr:
            child = subprocess.Popen(
                [job["shell"]],
                cwd=os.environ["HOME"],
                env={
                    "HOME": os.environ["HOME"],
                    "LOGNAME": job["owner"],
                    "PATH": "/bin:/usr/bin",
                    "LANG": "C",
                    **job["environment"],
                    "PBS_JOBID": job["id"],
                    "PBS_JOBNAME": job["name"],
                    "PBS_QUEUE": job["queue"],
                    "PBS_ENVIRONMENT": "PBS_BATCH",
                    **(index if job["index"] is not None else {}),
                },
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            with child.stdin as line:  # the shell gets the script's name to read, so its first line counts
                line.write(os.fsencode(job["script"] + "\n"))
        self.children[job["id"]] = child
        comment = f"Job run at {time.strftime('%a %b %d at %H:%M')} on ({socket.gethostname()}:ncpus={job['resources']['ncpus']})"
        more = {} if self.spool.torque else {"comment": comment}
        self.spool.keep(
            {**job, "state": "R", "pid": child.pid, "stime": time.time(), "run_count": job["run_count"] + 1, **more}
        )

    def look(self, job):
        child = self.children[job["id"]]
        used = {
            "walltime": time.time() - job["stime"],
            "mem": max(self.sizes.get(child.pid, 0), job.get("used", {}).get("mem", 0)),
        }
        over, limits = job.get("over"), job["resources"]
        asked = job.get("stopping")
        if child.poll() is not None:
            if asked is None or time.time() > asked + self.spool.settings["kill_delay"] or not any(session(child.pid)):
                self.finish({**job, "used": used}, child.returncode)
            return
        if over is None and limits["walltime"] is not None and used["walltime"] > limits["walltime"]:
            over = ["walltime", f"walltime {int(used['walltime'])} exceeded limit {limits['walltime']}"]
        elif over is None and limits["mem"] is not None and used["mem"] > limits["mem"]:
            over = ["mem", f"mem {used['mem'] // 1024}kb exceeded limit {limits['mem'] // 1024}kb"]
        if over is not None and job.get("over") is None:
            with (self.spool.directory / "output" / f"{job['id']}.ER").open("a") as said:
                said.write(f"=>> PBS: job killed: {over[1]}\n")
        stopping = job.get("stopping")
        if (over is not None or job.get("delete")) and stopping is None:
            stopping = time.time()
            group(child, signal.SIGTERM)
        elif stopping is not None and time.time() > stopping + self.spool.settings["kill_delay"]:
            group(child, signal.SIGKILL)
        self.spool.keep({**job, "used": used, "over": over, "stopping": stopping})

    def finish(self, job, code):
        """Bring the output to where it was asked for, and say how the job ended."""
        group(self.children.pop(job["id"]), signal.SIGKILL)
        if job["join"] == "oe":
            with (self.spool.directory / "output" / f"{job['id']}.OU").open("ab") as joined:
                joined.write((self.spool.directory / "output" / f"{job['id']}.ER").read_bytes())
        for which, suffix in (("o", "OU"), *([("e", "ER")] if job["join"] == "n" else [])):
            said = self.spool.directory / "output" / f"{job['id']}.{suffix}"
            with contextlib.suppress(OSError):
                shutil.copyfile(said, where(job, which))
        word, status = ("finished" if code == 0 else "failed"), code if code >= 0 else 256 - code
        if job.get("over"):
            kind, word = job["over"][0], "terminated"
            status = {"walltime": -11 if self.spool.torque else -29, "mem": -10 if self.spool.torque else -27}[kind]
        elif job.get("delete"):
            word, status = "terminated", 271
        end(self.spool, job, status, word)


def group(child, number):
    """Send a signal to all processes of a job's session, as PBS knows them."""
    for process, _ in session(child.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def session(leader):
    """The processes of a session, each with what it has in memory, in bytes."""
    return [(process, size) for of, process, size in processes() if of == leader]


def sizes():
    """What each session has in memory, in bytes."""
    found = {}
    for leader, _, size in processes():
        found[leader] = found.get(leader, 0) + size
    return found


def processes():
    """All that run: the session of each, its number, and what it has in memory, in bytes."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{number}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
            if fields[0] != "Z":
                yield int(fields[3]), int(number), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


COMMANDS = {"qsub": qsub, "qstat": qstat, "qdel": qdel, "qhold": qhold, "qrls": qrls, "qsig": qsig, "qselect": qselect}


def main():
    directory, command, *arguments = sys.argv[1:]
    spool = Spool(directory)
    if command == "serve":
        Server(spool).serve()
    wrong = fault(spool, command)
    with (spool.directory / "calls").open("a") as log:
        log.write(command + "\n")
    time.sleep(3600 if wrong.get("hang") else wrong.get("delay", 0))
    if "said" in wrong and not wrong.get("swallow"):
        print(wrong["said"], file=sys.stderr)
        return wrong.get("status", 1)
    if wrong.get("swallow"):
        sys.stdout = open(os.devnull, "w")
        COMMANDS[command](spool, arguments)
        print(wrong.get("said", "qsub: End of File"), file=sys.stderr)
        return wrong.get("status", 1)
    return COMMANDS[command](spool, arguments)


if __name__ == "__main__":
    sys.exit(main())
