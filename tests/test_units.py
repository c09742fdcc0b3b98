"""Fixed point and instants are exact in every direction."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.units import (
    MAX_I128,
    NO_ASK,
    ONE_X18,
    X18,
    Millis,
    Nanos,
    StrInt,
    format_x18,
    from_x18,
    mul_x18,
    parse_int,
    round_down,
    round_nearest,
    round_up,
    to_x18,
)

I128 = st.integers(min_value=-MAX_I128, max_value=MAX_I128)
STEPS = st.integers(min_value=1, max_value=10**24)


@pytest.mark.parametrize("kind", [X18, Nanos, Millis])
def test_kinds_compute_like_int(kind: type[StrInt]) -> None:
    """The subclass tells how a number travels; arithmetic on it gives a plain int."""
    total = kind(2) + kind(3)

    assert total == 5
    assert type(total) is int
    assert issubclass(kind, StrInt)


def test_no_ask_is_the_largest_int128() -> None:
    """An empty ask side is the highest price there is, so that comparisons need no special case."""
    assert 2**127 - 1 == NO_ASK == MAX_I128


@given(st.integers())
def test_parse_int_reads_what_str_writes(number: int) -> None:
    """The canonical spelling of every integer is accepted and read exactly."""
    assert number == parse_int(str(number))


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "+1", " 1", "1 ", "1\n", "\t1", "--1", "-+1", "- 1"),
        *("01", "00", "-01", "-0", "1_0", "1,0"),
        *("1e3", "1E3", "1.0", "1.", ".1", "-1.5"),
        *("0x1", "0b1", "1n", "nan", "inf", "None", "true"),
        *("\u0661", "\uff11", "\u00b2", "1\u0660", "\ufeff1", "1\x00"),
    ],
)
def test_parse_int_refuses_other_spellings(text: str) -> None:
    """Two spellings of one price would be two levels of a book, so only one is taken."""
    with pytest.raises(ValueError, match="expected an integer such as '1000'"):
        parse_int(text)


@given(st.text())
def test_parse_int_takes_one_spelling_only(text: str) -> None:
    """Whatever is accepted is exactly what str() writes."""
    try:
        number = parse_int(text)
    except ValueError:
        return
    assert text == str(number)


@given(I128)
def test_decimal_round_trip(value: int) -> None:
    """Fixed point to Decimal and back loses nothing."""
    assert value == to_x18(from_x18(value))


@given(I128)
def test_text_round_trip(value: int) -> None:
    """Fixed point to text and back loses nothing."""
    assert value == to_x18(format_x18(value))


@given(I128)
def test_conversions_ignore_the_callers_decimal_context(value: int) -> None:
    """A program that computes with few digits still gets exact prices."""
    with localcontext(Context(prec=3)):
        assert value == to_x18(from_x18(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("0.1"), 10**17),
        ("3000.5", 3000_500_000_000_000_000_000),
        (12, 12 * 10**18),
        (-3, -3 * 10**18),
        ("-0.000000000000000001", -1),
        ("1e3", 1000 * 10**18),
        (Decimal("0"), 0),
        ("-0", 0),
        ("1." + "0" * 70, 10**18),
        (format_x18(MAX_I128), MAX_I128),
        (format_x18(-MAX_I128), -MAX_I128),
    ],
)
def test_to_x18_is_exact(value: Decimal | str | int, expected: int) -> None:
    """Numbers as people write them become the one integer they mean."""
    result = to_x18(value)

    assert expected == result
    assert type(result) is X18


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("0.0000000000000000001", "more digits than fixed point holds"),
        (Decimal("1.0000000000000000005"), "more digits than fixed point holds"),
        ("1e-999999", "more digits than fixed point holds"),
        ("abc", "expected a number such as"),
        ("", "expected a number such as"),
        ("sNaN", "expected a number such as"),
        ("NaN", "expected a finite number"),
        ("Infinity", "expected a finite number"),
        (Decimal("-Infinity"), "expected a finite number"),
        (str(MAX_I128), "too large"),
        (MAX_I128 // 10**18 + 1, "too large"),
        (-MAX_I128, "too large"),
        ("1e900000", "too large"),
    ],
)
def test_to_x18_refuses_what_it_cannot_hold(value: Decimal | str | int, reason: str) -> None:
    """A number that would lose digits, or is none, is refused with the reason."""
    with pytest.raises(ValueError, match=reason):
        to_x18(value)


@pytest.mark.parametrize("value", [0.1, 1.0, True, None, b"1", 1j, [1]])
def test_to_x18_refuses_other_types(value: Any) -> None:
    """A float has already lost digits, and a bool is no amount; both are refused by name."""
    with pytest.raises(ValueError, match=f"got {type(value).__name__} .*write it as a string"):
        to_x18(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (1, "0.000000000000000001"),
        (-1, "-0.000000000000000001"),
        (10**18, "1"),
        (10**19, "10"),
        (-(10**18), "-1"),
        (1500 * 10**15, "1.5"),
        (-1500 * 10**15, "-1.5"),
        (100 * 10**18 + 10**16, "100.01"),
    ],
)
def test_format_x18_is_the_shortest_text(value: int, expected: str) -> None:
    """No exponent, no trailing zero, no point without digits after it."""
    assert expected == format_x18(value)
    assert Decimal(expected) == from_x18(value)


@given(I128, STEPS)
def test_rounding_brackets_the_value(value: int, step: int) -> None:
    """Down and up are the multiples of the step on either side, at most one step apart."""
    down, up = round_down(value, step), round_up(value, step)

    assert down <= value <= up
    assert down % step == up % step == 0
    assert up - down == (0 if value % step == 0 else step)


@given(I128, STEPS)
def test_round_nearest_is_the_nearer_side(value: int, step: int) -> None:
    """The nearest multiple is at most half a step away; exactly half goes up."""
    nearest = round_nearest(value, step)

    assert nearest % step == 0
    assert -step <= 2 * (value - nearest) < step


@pytest.mark.parametrize(
    ("value", "step", "expected"),
    [(4, 10, 0), (5, 10, 10), (-5, 10, 0), (-6, 10, -10), (2, 5, 0), (3, 5, 5), (-2, 5, 0), (-3, 5, -5)],
)
def test_round_nearest_halves_up(value: int, step: int, expected: int) -> None:
    """Half a step goes towards plus infinity on both sides of zero."""
    assert expected == round_nearest(value, step)


@given(I128, STEPS)
def test_rounding_twice_changes_nothing(value: int, step: int) -> None:
    """A multiple of the step stays where it is."""
    for rounding in (round_down, round_up, round_nearest):
        assert rounding(value, step) == rounding(rounding(value, step), step)


@given(I128, I128)
def test_mul_x18_floors(a: int, b: int) -> None:
    """The product is the largest fixed point number not above the exact one, and both orders agree."""
    product = mul_x18(a, b)

    assert product * ONE_X18 <= a * b < (product + 1) * ONE_X18
    assert product == mul_x18(b, a)


@given(I128)
def test_one_is_neutral(value: int) -> None:
    """Multiplying by one changes nothing."""
    assert value == mul_x18(value, ONE_X18)
