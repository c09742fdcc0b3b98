"""Tests of nadows.venue.switches: what they are, and the files that set them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from nadows.errors import UsageError
from nadows.venue.switches import Switches, list_switches, read_profile


def test_every_switch_is_listed_with_its_default() -> None:
    """The list is complete and says what each decides."""
    listed = list_switches()

    assert [each.name for each in fields(Switches)] == [each.name for each in listed]
    assert all(getattr(Switches(), each.name) == each.default for each in listed)
    assert all(len(each.doc) > 20 for each in listed)


def test_a_profile_sets_some() -> None:
    """The others keep their defaults."""
    text = "speed_bump_ms = 50\nplace_orders_bare_list = false\noracle_band_percent = [80, 120]\n"

    expected = Switches(speed_bump_ms=50, place_orders_bare_list=False, oracle_band_percent=(80, 120))

    assert expected == read_profile(text)
    assert Switches() == read_profile("")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("speed_bump_ms = ", "not TOML"),
        ("speed_bump = 3", "no switch 'speed_bump'"),
        ("speed_bump_ms = 'x'", "another kind"),
        ("speed_bump_ms = 1.5", "another kind"),
        ("speed_bump_ms = -1", "must not be negative"),
        ("all_bbo_ms = 0", "all_bbo_ms must be at least 1"),
        ("oracle_band_percent = [80]", "another kind"),
        ("signed_quantities = 1", "another kind"),
    ],
)
def test_what_is_no_profile(text: str, told: str) -> None:
    """It is refused with what is wrong."""
    with pytest.raises(UsageError, match=told):
        read_profile(text)
