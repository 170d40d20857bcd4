"""Submitting jobs to a scheduler: what is not there yet is submitted, once, whoever is killed meanwhile.

A submission is a script that runs where the scheduler is, under the lock of its jobs, and goes on to its end
whatever becomes of the process that wanted it. One that was begun and left no handle is looked for by its name before
another is made. An array has a directory of its own, with the same files and a lock; each of its jobs has a
file that names it, written before.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from heliostat.batch import Accepted, BatchQueue, Deferred, Rejected
from heliostat.batches import script
from heliostat.batches.shared import ARRAY, CLAIM, GONE, ID, VOID, chunks, fields, membership
from heliostat.errors import BadInput, OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heliostat.batch import JobRequest, Reply
    from heliostat.batches.dialect import Dialect
    from heliostat.batches.shared import JobFiles, Notes
    from heliostat.transport import Transport

AT_ONCE = 40  #: submissions by one script
ARRAY_FROM = 4  #: jobs of one kind, from which on they are an array where the queue has arrays
COMMAND_SECONDS = 60.0  #: for a question to a scheduler
SUBMIT_SECONDS = 5.0  #: for each submission besides
NO_QUEUE = BatchQueue()

_SAYS = re.compile(r"^(?:sbatch|qsub): (?:error: )?")
_FAILED = "Batch job submission failed: "  #: comes last, after the cause or with it


class Submission:
    """Submits to one scheduler. ``grace`` is the time in seconds between TERM and KILL for a job that has timed out."""

    def __init__(
        self,
        dialect: Dialect,
        transport: Transport,
        files: JobFiles,
        queues: Mapping[str, BatchQueue],
        grace: float,
    ) -> None:
        self._dialect, self._transport, self._files, self._queues = dialect, transport, files, queues
        self._grace = grace

    def submit(self, wanted: Mapping[Path, JobRequest]) -> dict[Path, Reply]:
        """Have jobs submitted, those together that can be; a reply for each."""
        replies: dict[Path, Reply] = {}
        try:
            self._submit(wanted, replies)
        except OperatorError as error:  # whatever it is, it can be tried again
            for directory in wanted:
                replies.setdefault(directory, Deferred(str(error)))
        return replies

    def handle(self, note: Notes) -> str | None:
        """By what the scheduler knows the job of a directory; empty if there never will be one, None if there is none.

        The claim decides, should there be two.
        """
        if handle := fields(note.get(CLAIM, "")).get("handle"):
            return handle
        if ID in note:
            with suppress(ValueError):
                return self._dialect.submitted(note[ID])
        return "" if VOID in note else None

    def _submit(self, wanted: Mapping[Path, JobRequest], replies: dict[Path, Reply]) -> None:
        notes, _ = self._files.look(list(wanted))
        joined: dict[Path, tuple[int, Path]] = {}
        for directory, note in zip(wanted, notes, strict=True):
            if (handle := self.handle(note)) is not None:
                replies[directory] = Accepted(handle)
            elif GONE in note:
                replies[directory] = Deferred(note[GONE])
            elif member := membership(note):
                joined[directory] = member
        replies |= self._of_arrays(joined)
        missing: dict[Path, script.Job] = {}
        for directory, request in wanted.items():
            if directory in replies:
                continue
            try:
                missing[directory] = self._written(directory, request)
            except BadInput as error:
                replies[directory] = Rejected(str(error))
            except OSError as error:
                replies[directory] = Deferred(f"job {request.key}: cannot write in {directory}: {error.strerror}")
        self._files.put(list(missing))
        single: dict[Path, str] = {}
        for array, members in self._arrays(missing):
            together = self._submit_array(array, members) if array else None
            if together is None:
                single |= {member: missing[member].name for member in members}
            else:
                replies.update(zip(members, together, strict=True))
        for some in chunks(list(single), AT_ONCE):
            self._files.together(some)
            replies.update(self._submit_some({directory: single[directory] for directory in some}))

    def _written(self, directory: Path, request: JobRequest) -> script.Job:
        queue = self._queues.get(request.queue, NO_QUEUE)
        there = self._files.there(directory)
        job = script.job(self._dialect, queue, request, there, self._grace)
        script.write(directory, job.files)
        return job

    def _submit_some(self, names: Mapping[Path, str], mode: str = "new") -> dict[Path, Reply]:
        """Submit jobs of their own, under their names; those that were begun before are looked for first."""
        replies: dict[Path, Reply] = {}
        begun: dict[Path, str] = {}
        seconds = COMMAND_SECONDS + SUBMIT_SECONDS * len(names)
        for directory, word, text in self._ask(mode, names, seconds=seconds):
            if word == "begun":
                begun[directory] = text.strip() or names[directory]  # a power cut or a full disk has left it empty
            elif word == "gone" and mode == "void":
                replies[directory] = Accepted("")  # nothing can be submitted from there
            else:
                replies[directory] = self.reply(word, text)
        if begun:
            replies |= self._resolve(begun, names, "voidanew" if mode == "void" else "anew")
        return replies

    def _ask(
        self, mode: str, names: Mapping[Path, str], handle: str = "", seconds: float = COMMAND_SECONDS
    ) -> Iterator[tuple[Path, str, str]]:
        """Run the script that submits."""
        return self.run(script.submitting(self._dialect), (mode, handle), list(names), seconds, list(names.values()))

    def _resolve(self, begun: Mapping[Path, str], names: Mapping[Path, str], otherwise: str) -> dict[Path, Reply]:
        """Ask the scheduler for jobs whose submission left no handle; what it does not know is done ``otherwise``."""
        ran = self._transport.run(self._dialect.find(list(begun.values())), timeout=COMMAND_SECONDS)
        if ran.exit_code:
            reason = f"{self._dialect.name} cannot be asked whether it has the job already: {ran.said}"
            return dict.fromkeys(begun, Deferred(reason))
        known = self._dialect.found(ran.stdout.decode(errors="replace"))
        replies: dict[Path, Reply] = {}
        for directory, name in begun.items():
            if name in known:
                ((_, word, text),) = self._ask("adopt", {directory: name}, known[name])
                replies[directory] = self.reply(word, text)
        unknown = {directory: names[directory] for directory in begun if directory not in replies}
        return replies | (self._submit_some(unknown, otherwise) if unknown else {})

    def reply(self, word: str, text: str) -> Reply:
        match word:
            case "id":
                try:
                    return Accepted(self._dialect.submitted(text))
                except ValueError:
                    return Deferred(f"{self._dialect.name} took the job and said {text.strip()!r}, which is no id")
            case "claim":
                return Accepted(fields(text).get("handle", ""))
            case "void":
                return Accepted("")
            case "failed" if self._dialect.refused(text):
                return Rejected(f"{self._dialect.name} refused it: {_words(text)}")
            case "gone":
                return Deferred(f"its directory is not there on {self._transport.place}")
            case "failed":
                return Deferred(f"{self._dialect.name} did not take it: {_words(text)}")
            case _:
                return Deferred(f"another submission of it is under way on {self._transport.place}")

    def run(
        self,
        text: str,
        options: tuple[str, ...],
        directories: Sequence[Path],
        seconds: float = COMMAND_SECONDS,
        names: Sequence[str] = (),
    ) -> Iterator[tuple[Path, str, str]]:
        """Run a script over directories, each with its name behind it; what it said of each: a word, and more."""
        words = [self._files.there(directory) for directory in directories]
        if names:
            words = list(chain.from_iterable(zip(words, names, strict=True)))
        mark = f"== {token_hex(4)}"  # a banner of the site's may have lines of any other kind
        ran = self._transport.run(text, mark, *options, *words, timeout=seconds)
        blocks = dict(script.blocks(ran.stdout.decode(errors="replace"), mark))
        for number, directory in enumerate(directories):
            if number not in blocks:
                raise OperatorError(f"a submission on {self._transport.place} was cut short: {ran.said}")
            yield directory, *blocks[number]

    # arrays

    def _arrays(self, jobs: Mapping[Path, script.Job]) -> Iterator[tuple[script.Job | None, list[Path]]]:
        """Jobs that can be one submission, with one of them; the others, with none."""
        single: list[Path] = []
        alike: defaultdict[tuple[Path, script.Kind], list[Path]] = defaultdict(list)
        for directory, job in jobs.items():
            (alike[directory.parent, job.kind] if job.array else single).append(directory)
        for members in alike.values():
            first = jobs[members[0]]
            for some in chunks(members, first.array):
                yield (first if len(some) >= ARRAY_FROM else None), some
        yield None, single

    def _submit_array(self, one: script.Job, members: list[Path]) -> list[Reply] | None:
        """Submit jobs as an array; None if one of them has come to be another's meanwhile."""
        directory = script.array_directory(members)
        there = [self._files.there(member) for member in members]
        array = script.array(self._dialect, one, self._files.there(directory), there)
        try:
            script.write(directory, array.files)
            for index, member in enumerate(members):
                script.write(member, {ARRAY: f"{index}\n{directory}\n"})
        except OSError as error:
            return [Deferred(f"cannot write in {directory}: {error.strerror}")] * len(members)
        self._files.put([directory, *members])
        (reply,) = self._submit_some({directory: array.name}).values()
        if not isinstance(reply, Accepted):
            return [reply] * len(members)
        if not reply.handle:
            return None
        return [Accepted(self._dialect.member(reply.handle, index)) for index in range(len(members))]

    def _of_arrays(self, members: Mapping[Path, tuple[int, Path]]) -> dict[Path, Reply]:
        """How jobs stand that are to be submitted with others; nothing of those of which that never came about."""
        arrays: dict[Path, Reply] = {}
        for some in chunks(sorted({array for _, array in members.values()}), AT_ONCE):
            names = {array: script.array_name(self._dialect, self._files.there(array)) for array in some}
            arrays |= self._submit_some(names, "void")
        replies: dict[Path, Reply] = {}
        for directory, (index, array) in members.items():
            reply = arrays[array]
            if not isinstance(reply, Accepted):
                replies[directory] = reply
            elif reply.handle:
                replies[directory] = Accepted(self._dialect.member(reply.handle, index))
        return replies


def _words(text: str) -> str:
    """What a scheduler complains of, without who says it, and without the sentence that it does."""
    lines = [_SAYS.sub("", line.strip()) for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if not line.startswith(_FAILED)] or lines
    return "; ".join(line.removeprefix(_FAILED) for line in causes)[:1000] or "it said nothing"
