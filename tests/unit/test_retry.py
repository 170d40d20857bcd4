"""Whether and when a failed task is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heliostat import Retry
from heliostat.errors import BadInput, DefinitionError
from heliostat.retry import delay


class Cold(OSError):
    """A kind of OSError."""


def test_the_limit_is_how_many_more_tries_there_are() -> None:
    """None by default."""
    assert delay(Retry(), 0, 0.5) is None
    assert [delay(Retry(2), failures, 0.5) is not None for failures in range(4)] == [True, True, False, False]


def test_each_pause_is_longer_than_the_one_before_up_to_the_longest() -> None:
    """By the factor; the middle of the chance is the delay itself."""
    policy = Retry(9, delay="30s", factor=2, max_delay="5m")
    assert [delay(policy, failures, 0.5) for failures in range(6)] == [30, 60, 120, 240, 300, 300]


def test_jitter_spreads_what_failed_together() -> None:
    """By so much to both sides, and never before now."""
    policy = Retry(1, delay=100, jitter=0.2)
    assert [delay(policy, 0, chance) for chance in (0.0, 0.5, 1.0)] == pytest.approx([80, 100, 120])
    assert delay(Retry(1, delay=1, jitter=1), 0, 0.0) == 0


def test_a_thousand_failures_do_not_overflow() -> None:
    """The longest pause is the longest pause."""
    assert delay(Retry(100_000, factor=10), 99_999, 0.5) == 3600
    assert delay(Retry(9, delay=0.001, factor=1_000_000, max_delay=0.01), 8, 0.5) == 0.01
    assert delay(Retry(99, delay=0, factor=1_000_000), 98, 0.5) == 0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"factor": 1e308}, "retry: factor is a number from 0 to 1,000,000, not 1e+308"),
    ({"factor": -3}, "retry: factor is a number from 0 to 1,000,000, not -3"),
    ({"factor": "x"}, "retry: factor is a number from 0 to 1,000,000, not 'x'"),
    ({"factor": float("nan")}, "retry: factor is a number from 0 to 1,000,000, not nan"),
    ({"jitter": 1e9}, "retry: jitter is a number from 0 to 1, not 1000000000.0"),
    ({"jitter": True}, "retry: jitter is a number from 0 to 1, not True"),
    ({"delay": 1e300}, "retry: delay: 1e+300 is no duration; it must be from 0 to 100 years"),
]


@pytest.mark.parametrize(("options", "sentence"), WRONG)
def test_what_would_give_absurd_pauses_is_refused(options: dict[str, Any], sentence: str) -> None:
    """Where the policy is written, not when something has failed."""
    with pytest.raises((BadInput, DefinitionError)) as refused:
        Retry(9, **options)
    assert str(refused.value) == sentence


def test_durations_are_given_in_any_form_and_kept_as_seconds() -> None:
    """So that the policy is data."""
    policy = Retry(1, delay="1m", max_delay=timedelta(hours=2))
    assert (policy.delay, policy.max_delay) == (60, 7200)
    with pytest.raises(BadInput, match="retry: delay: 'soon' is no duration"):
        Retry(1, delay="soon")


def test_classes_of_errors_are_kept_by_name_and_cover_their_kinds() -> None:
    """An error that is none of them is not worth another try."""
    policy = Retry(1, on=(OSError, "somewhere.Else"))
    assert policy.on == ("builtins.OSError", "somewhere.Else")
    assert policy.covers(Cold())
    assert policy.covers(TimeoutError())
    assert not policy.covers(ValueError())
    assert Retry(1).covers(ValueError())
    assert not Retry(1).covers(KeyboardInterrupt())
