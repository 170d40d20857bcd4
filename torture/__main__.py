"""``python -m torture``: a line of JSON per campaign on stdout, a table for people on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torture.campaign import Outcome
    from torture.report import People


def main() -> int:
    """Carry out the campaigns that are asked for; 1 if one of them found something."""
    from torture import cluster, report
    from torture.campaign import Plan, carry_out
    from torture.faults import FAULTS
    from torture.grounds import GROUNDS
    from torture.jobs import LIVES
    from torture.mutants import BOTH, MUTANTS
    from torture.points import enumerate_points

    grounds = [*GROUNDS, cluster.GROUND]
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--grounds", nargs="+", metavar="GROUND", choices=grounds, default=grounds)
    known = f"of {', '.join(FAULTS)}, points; + joins some; on slurm {', '.join(LIVES)}"
    parser.add_argument("--faults", nargs="+", metavar="FAULT", help=known)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each fault lasts")
    parser.add_argument("--calm", type=float, default=4.0, help="how long is measured before and after it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes, where not what the fault says")
    parser.add_argument("--every", type=int, default=1, help="points and slurm: die at each so manieth")
    parser.add_argument("--first", type=int, default=0, help="slurm: from this one on")
    parser.add_argument("--deaths", type=int, default=1, help="slurm: so many die at each, one after the other")
    parser.add_argument("--mutants", nargs="*", metavar="NAME", help=f"see defects caught: {', '.join(MUTANTS)}")
    asked = parser.parse_args()
    people, sound = report.People(), True
    people.place()
    if asked.mutants is not None:
        return see_mutants(people, asked.mutants or list(MUTANTS), asked.grounds, asked.seed)
    for name in asked.faults or LIVES if cluster.GROUND in asked.grounds else ():
        if name in LIVES:  # nothing is shown meanwhile, for its engines are forks of this process
            outcome = cluster.enumerate_deaths(name, asked.every, asked.first, asked.deaths)
            sound = tell(outcome, people) and sound
    for ground in asked.grounds:
        for name in asked.faults or [*FAULTS, "points"]:
            if ground == cluster.GROUND or name in LIVES:
                continue
            if name == "points" and ground not in BOTH:
                continue  # its commits are PostgreSQL's
            if name == "points":
                for when in ("before", "after"):
                    with people.busy(f"every commit on {ground}"):
                        outcome = enumerate_points(ground, when, asked.every)
                    sound = tell(outcome, people) and sound
                continue
            faults = tuple(name.split("+"))
            if any(ground not in FAULTS[fault].grounds for fault in faults):
                continue
            plan = Plan(ground, faults, asked.seed, asked.calm, asked.seconds, asked.workers)
            with people.busy(f"{name} on {ground}"):
                outcome = carry_out(plan)
            sound = tell(outcome, people) and sound
    people.close()
    return 0 if sound else 1


def tell(outcome: Outcome, people: People) -> bool:
    """Report a campaign; answers whether all was well."""
    print(json.dumps(outcome.line(), ensure_ascii=False), flush=True)
    people.tell(outcome)
    return outcome.sound


def see_mutants(people: People, names: Sequence[str], grounds: Sequence[str], seed: int) -> int:
    """Carry out a short campaign with each defect; 1 if one is not caught by a rule that is to catch it.

    A rule that the same campaign breaks without the defect, on a machine that is too busy for it, catches nothing.
    """
    from torture.campaign import Plan, carry_out, with_mutant
    from torture.mutants import MUTANTS

    escaped = 0
    broken: dict[Plan, set[str]] = {}
    for name in names:
        mutant = MUTANTS[name]
        for ground in grounds:
            if ground not in mutant.grounds:
                continue
            with people.busy(f"{name} on {ground}"):
                plan = with_mutant(name, ground, seed)
                caught = [violation for violation in carry_out(plan).violations if violation.rule in mutant.caught]
                healthy = replace(plan, mutant="")
                if caught and healthy not in broken:
                    broken[healthy] = {violation.rule for violation in carry_out(healthy).violations}
            caught = [violation for violation in caught if violation.rule not in broken[healthy]]
            by = str(caught[0]) if caught else ""
            line = {"mutant": name, "about": mutant.about, "ground": ground, "fault": mutant.fault, "caught": by}
            print(json.dumps(line, ensure_ascii=False), flush=True)
            people.tell_mutant(name, ground, mutant.fault, by)
            escaped += not caught
    people.close()
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
