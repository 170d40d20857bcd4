"""Whether and when a failed task is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heliostat import Retry
from heliostat.errors import BadInput
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
    assert delay(Retry(1, delay=1, jitter=5), 0, 0.0) == 0


def test_a_thousand_failures_do_not_overflow() -> None:
    """The longest pause is the longest pause."""
    assert delay(Retry(100_000, factor=10), 99_999, 0.5) == 3600


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
