"""The workflows of the cases of imaging on a cluster, and their strategies; workers import them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliostat.importers import bluesky
from heliostat.importers.bluesky import Strategy

FILE = Path(__file__).with_name("blue_sky.yaml")


def step(state: str) -> type[Strategy]:
    """A strategy whose program gets the subject, with the number that the state before gave."""

    class Step(Strategy):
        def get_input(self, subject: Any) -> Any:
            before = next((result["n"] for result in self.results.values() if isinstance(result, dict)), 0)
            return {"n": before, **subject, "state": state}

    return Step


class Split(step("split")):  # type: ignore[misc]
    """A plate becomes its parts."""

    def subjects(self, subject: Any, results: Any) -> list[Any]:
        return [subject | {"name": f"{subject['name']}.{place}", "place": place} for place in range(subject["parts"])]


class Part(step("part")):  # type: ignore[misc]
    """Some parts are not let in."""

    def can_transition(self, subject: Any) -> bool | str:
        return subject["place"] not in subject.get("refused", ()) or "its guard refuses it"


class Joined(step("joined")):  # type: ignore[misc]
    """All parts are there."""

    def get_input(self, subject: Any) -> Any:
        parts = [part for part in self.results["part"] if part is not None]
        return subject | {"state": "joined", "n": sum(part["n"] for part in parts)}


class Gate(step("only")):  # type: ignore[misc]
    """A subject that is gated waits until the gate is open."""

    every = "0.2s"

    def must_wait(self, subject: Any) -> bool:
        return bool(subject.get("gated")) and not (Path(subject["marks"]) / "gate").exists()


STRATEGIES = {
    **{state: step(state) for state in ("first", "second", "only")},
    "split": Split,
    "part": Part,
    "joined": Joined,
}
flows = bluesky.load(FILE, STRATEGIES)
gated = bluesky.load(FILE, STRATEGIES | {"only": Gate})["gated"]
steps, throttled, single, spread, many = (flows[name] for name in ("steps", "throttled", "single", "spread", "many"))
del flows
