"""Triggers: what sends without being asked, at which times; and the schedule of a workflow that has one.

A tick is a time at which something is sent. It is known by that time alone, to the second, so whoever works it out has
the same tick, under the same idempotency key and with the same message. Times are seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from heliostat.codec import decode, encode, seconds
from heliostat.errors import BadInput, DefinitionError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

CatchUp = Literal["latest", "all", "none"]

LETTERS = 100  #: of a cron expression and of the name of a time zone
CAUGHT_UP = 1000  #: missed ticks that catch_up="all" makes up for: the newest
AT_ONCE = 100  #: ticks whose runs are started in one transaction
LATE_SECONDS = 60.0  #: after which a tick counts as missed where nothing is caught up
NEVER = 253_402_300_799.0  #: the last second of the year 9999


@dataclass(frozen=True, slots=True)
class Tick:
    """The message of a tick: the time for which something was to be sent, in UTC; it may be earlier than now."""

    scheduled_at: datetime


@dataclass(frozen=True, slots=True)
class Every:
    """A tick in each ``interval`` (it becomes seconds, a whole number of them), counted from 1970-01-01 00:00 UTC.

    ``"5m"`` is at :00, :05, :10 and so on. ``catch_up`` says for which of the ticks that were missed because nobody
    worked a run is started: the ``"latest"``, ``"all"`` (the newest 1,000) or ``"none"``.
    """

    interval: str | timedelta | float
    catch_up: CatchUp = "latest"

    def __post_init__(self) -> None:
        try:
            found = seconds(self.interval, "Every")
        except BadInput as error:
            raise DefinitionError(str(error)) from None
        if found < 1 or found != int(found):
            raise DefinitionError(f"Every: {shortened(self.interval)} is no whole number of seconds, from 1 on")
        object.__setattr__(self, "interval", int(found))
        _check_catch_up(self.catch_up, "Every")

    def after(self, time: float) -> float:
        """The first tick after a time."""
        return (time // self._seconds + 1) * self._seconds

    def latest(self, time: float) -> float:
        """The last tick up to a time."""
        return time // self._seconds * self._seconds

    @property
    def _seconds(self) -> int:
        assert isinstance(self.interval, int)
        return self.interval

    def __str__(self) -> str:
        left, words = self._seconds, ""
        for unit, letter in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
            count, left = divmod(left, unit)
            words += f"{count}{letter}" if count else ""
        return f"every {words}"


@dataclass(frozen=True, slots=True)
class Cron:
    """A tick at the times of a cron expression: minute, hour, day of the month, month, day of the week.

    They are times of the clocks of ``timezone``. Where these are moved, it is as with Debian's cron: what has a fixed
    hour is at a time that does not exist at the first minute after it, and at one that comes twice only at the first;
    what has ``*`` for its minute or hour goes on as time does. ``catch_up`` is as for ``Every``.
    """

    expression: str
    timezone: str = "UTC"
    catch_up: CatchUp = "latest"

    def __post_init__(self) -> None:
        given: object = self.expression
        if not isinstance(given, str) or len(given) > LETTERS or len(given.split()) != 5:
            raise DefinitionError(
                f'Cron: {shortened(self.expression)} is no cron expression; write five fields, such as "0 6 * * *": '
                "minute, hour, day of the month, month, day of the week"
            )
        _zone(self.timezone)
        _check_catch_up(self.catch_up, "Cron")
        from cronsim import CronSimError

        try:
            first = self.after(0.0)
        except (CronSimError, AssertionError, ValueError) as error:
            raise DefinitionError(f"Cron: {self.expression!r} is no cron expression: {_said(error)}") from None
        if first == NEVER:
            raise DefinitionError(f"Cron: {self.expression!r} never comes: no such day is in the calendar")

    def after(self, time: float) -> float:
        """The first tick after a time."""
        try:
            return next((tick for tick in self._ticks(time) if tick > time), NEVER)
        except OverflowError:  # no calendar goes so far
            return NEVER

    def latest(self, time: float) -> float:
        """The last tick up to a time."""
        found = next((tick for tick in self._ticks(time + 0.5, back=True) if tick <= time), -NEVER)
        while (following := self.after(found)) <= time:  # what is passed twice is found from below only
            found = following
        return found

    def _ticks(self, time: float, *, back: bool = False) -> Iterator[float]:
        from cronsim import CronSim

        for tick in CronSim(self.expression, datetime.fromtimestamp(time, _zone(self.timezone)), reverse=back):
            yield tick.timestamp()

    def __str__(self) -> str:
        return f'cron "{self.expression}" {self.timezone}'


Trigger: TypeAlias = Every | Cron


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a workflow's trigger stands: which definition it starts runs of, and the tick that comes next.

    ``last_at`` is the newest tick for which it has started one, ``next_at`` the first that it has not looked at.
    """

    workflow: str
    graph: int
    next_at: float
    last_at: float | None = None
    paused: bool = False


def due(trigger: Trigger, since: float, now: float) -> tuple[list[float], float]:
    """The ticks from ``since`` until now for which something is to be started, and the next to be looked at then.

    Oldest first, and as many as one transaction may start; the next one may be due too.
    """
    newest = trigger.latest(now)
    if newest < since or (trigger.catch_up == "none" and now - newest > LATE_SECONDS):
        return [], max(trigger.after(now), since) if newest < since else trigger.after(now)
    if trigger.catch_up != "all":
        return [newest], trigger.after(newest)
    found = [newest]
    while len(found) < CAUGHT_UP and (before := trigger.latest(found[-1] - 1)) >= since:
        found.append(before)
    ticks = found[::-1][:AT_ONCE]
    return ticks, trigger.after(ticks[-1])


def within(trigger: Trigger, since: float, until: float) -> Iterator[float]:
    """The ticks of a period, which begins with ``since`` and ends before ``until``."""
    tick = trigger.after(since - 1)
    while tick < until:
        if tick >= since:
            yield tick
        tick = trigger.after(tick)


def moved(trigger: Trigger, schedule: Schedule, now: float) -> float:
    """The next tick of a schedule that goes on with this trigger: what is overdue stays so, to be caught up."""
    if schedule.next_at <= now:
        return schedule.next_at
    return trigger.after(max(now, schedule.last_at or 0.0))


def stamp(tick: float) -> str:
    """A tick in words that are the same everywhere: ``2026-11-30T05:00:00Z``."""
    return datetime.fromtimestamp(tick, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tick_key(tick: float) -> str:
    """The idempotency key of what a tick starts or sends."""
    return f"tick {stamp(tick)}"


def tick_message(tick: float) -> str:
    """The message of a tick, as JSON text."""
    return encode({"scheduled_at": stamp(tick)}, "tick")


def is_tick(message: str | None) -> bool:
    """Whether a message is a tick's, or says the same as one."""
    if message is None or not message.startswith('{"scheduled_at":'):
        return False
    data = decode(message)
    return isinstance(data, dict) and [*data] == ["scheduled_at"]


def _check_catch_up(catch_up: object, where: str) -> None:
    if catch_up not in get_args(CatchUp):
        raise DefinitionError(f'{where}: catch_up is "latest", "all" or "none", not {shortened(catch_up)}')


def _said(error: BaseException) -> str:
    return str(error).lower() or "its parts do not go together"


@lru_cache(maxsize=64)
def _zone(name: object) -> tzinfo:
    """A time zone by its name; raises DefinitionError."""
    if name == "UTC":  # there also where no zones are installed
        return UTC
    import zoneinfo

    if isinstance(name, str) and len(name) <= LETTERS:
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            known = zoneinfo.available_timezones()
            if not known:
                raise DefinitionError(
                    f"Cron: this machine knows no time zones, so not {name!r} either; install them: pip install tzdata"
                ) from None
            raise DefinitionError(f"Cron: there is no time zone {shortened(name)}{nearest(name, known)}") from None
    raise DefinitionError(f'Cron: a time zone is a name such as "Europe/Rome", not {shortened(name)}')
