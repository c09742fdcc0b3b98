"""Texts of options."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nadows.cli.options import parse_duration, parse_speed
from nadows.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("500ms", 0.5), ("2m", 120), ("1.5h", 5400), ("30", 30), (" 1s ", 1)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """A number with a unit; seconds without one."""
    assert seconds == parse_duration(text)


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "1d", "s", "1e3s", "nan", "1 s", "\u0661s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The message shows what one looks like."""
    with pytest.raises(UsageError, match="such as 10s or 500ms"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "speed"), [("1", Fraction(1)), ("0.5", Fraction(1, 2)), ("10", Fraction(10))]
)
def test_speeds_are_read(text: str, speed: Fraction) -> None:
    """Exactly: a pace adds up over hours."""
    assert speed == parse_speed(text)


def test_the_highest_speed_is_without_waiting() -> None:
    """It is no number at all."""
    assert parse_speed("max") is None
    assert parse_speed("MAX") is None


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "nan", "inf", "1x"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    """The message shows what one looks like."""
    with pytest.raises(UsageError, match="such as 1 or 10, or max"):
        parse_speed(text)
