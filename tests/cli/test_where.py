"""Conditions on events, as people type them."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.cli.where import FIELDS, parse_where
from nadows.errors import UsageError
from nadows.messages import decode_stream
from nadows.products import Product, Products

ONE: Final = 10**18
PRODUCTS: Final = Products([Product(4, "ETH-PERP", True, 10**17, 10**15, 100 * ONE, 0, 0)])


def trade(price: int = 3000 * ONE, *, is_buy: bool = True) -> Any:
    text = (
        '{"type":"trade","timestamp":"1795367045628228247","product_id":4,'
        f'"price":"{price}","taker_qty":"{2 * ONE}","maker_qty":"{2 * ONE}",'
        f'"is_taker_buyer":{str(is_buy).lower()}}}'
    )
    return decode_stream(text.encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price>2999.9", True),
        ("price > 3000", False),
        ("price>=3000", True),
        ("price=3000", True),
        ("price == 3000.0", True),
        ("price!=3000", False),
        ("price<3000.000000000000000001", True),
        ("price<=2999.999999999999999999", False),
        ("symbol=eth-perp and price>1", True),
        ("symbol='ETH-PERP' and price>4000", False),
        ("side=buy", True),
        ('side = "sell"', False),
        ("qty>=2 and qty<=2", True),
        ("is_taker_buyer=true", True),
        ("is_taker_buyer!=true", False),
        ("type=trade", True),
        ("product_id=4", True),
        ("timestamp>1795367045628228246", True),
        ("bid_price>0", False),
        ("filled_qty>0", False),
    ],
)
def test_conditions_are_compared_exactly(text: str, expected: bool) -> None:
    """In units of people, to the last digit; what an event does not have it does not meet."""
    assert expected is parse_where(text)(trade(), PRODUCTS)


def test_what_has_no_product_and_no_side_meets_no_condition_on_them() -> None:
    """It is no error either."""
    event = decode_stream(b'{"type":"all_bbo","time":"1","bbos":{}}')
    for text in ("symbol!=X", "side=buy", "qty>0", "reason=placed"):
        assert not parse_where(text)(event, PRODUCTS)
    assert parse_where("type=all_bbo")(event, PRODUCTS)
    assert not parse_where("type=trade")(event, PRODUCTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--where, column 1, the end: a condition is FIELD OPERATOR VALUE, such as price>3000"),
        ("prize>3000", "--where, column 1, 'prize': no field is called so: did you mean price?"),
        ("zzz>3000", "--where, column 1, 'zzz': no field is called so: there are type, symbol, side, qty,"),
        ("price", "--where, column 6, the end: after price comes one of == = != <= >= < >"),
        ("price 3000", "--where, column 7, '3000': after price comes one of"),
        ("price>", "--where, column 7, the end: price is compared to a decimal number"),
        ("price><3", "--where, column 7, '<': price is compared to a decimal number"),
        ("price>x", "--where, column 7, 'x': price is compared to a decimal number"),
        ("price>1e400", "--where, column 7, '1e400': price is compared to a decimal number"),
        ("product_id=4.5", "--where, column 12, '4.5': product_id is compared to a whole number"),
        ("is_bid=yes", "--where, column 8, 'yes': is_bid is compared to true or false"),
        ("side>buy", "--where, column 5, '>': side is equal or it is not: use = or !="),
        ("price>1 or price<2", "--where, column 9, 'or': conditions are joined by and"),
        ("price>1 and", "--where, column 12, the end: a condition is FIELD OPERATOR VALUE"),
        ("price>1 and (", "--where, column 13, '(': it belongs to no condition; quote texts"),
    ],
)
def test_what_is_wrong_is_told_with_its_column(text: str, message: str) -> None:
    """And with the nearest name."""
    with pytest.raises(UsageError) as caught:
        parse_where(text)
    assert str(caught.value).startswith(message)


@given(st.text())
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    """Whatever is typed."""
    try:
        where = parse_where(text)
    except UsageError:
        return
    assert isinstance(where(trade(), PRODUCTS), bool)


def test_fields_are_those_of_the_wire() -> None:
    """Prices and sizes are decimal, instants are whole, lists cannot be compared."""
    assert "a decimal number" == FIELDS["filled_price"] == FIELDS["price"] == FIELDS["amount"]
    assert "a whole number" == FIELDS["timestamp"] == FIELDS["submission_idx"]
    assert "true or false" == FIELDS["is_taker"]
    assert "a text" == FIELDS["reason"]
    assert not {"bids", "bbos", "product_ids"} & set(FIELDS)
