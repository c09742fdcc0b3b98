"""Integers that travel as strings: exact at any size, refused in any form that loses or aliases digits."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from nadows import messages as m
from nadows.errors import MalformedFrame
from nadows.messages.wire import WireStruct
from nadows.units import StrInt

STRUCTS: Final = sorted(
    {
        kind
        for kind in vars(m).values()
        if isinstance(kind, type) and issubclass(kind, WireStruct) and kind is not WireStruct
    },
    key=lambda kind: kind.__name__,
)
ALIASES: Final = [
    "1e3",
    "1.0",
    " 1",
    "1 ",
    "+1",
    "01",
    "1_0",
    "-0",
    "",
    "-",
    "0x1",
    "\u0661",
    "\u00b2",
    "1\n",
]


class Place(NamedTuple):
    """One member that holds integers as strings."""

    struct: type[WireStruct]
    field: str
    number: type
    """`StrInt` or a subclass: strings only. `IntOrText`: numbers too."""
    shape: str

    def frame(self, value: Any) -> bytes:
        """Write a valid object of the struct, with *value* wherever the member holds an integer."""
        body = example(self.struct)
        wrapped = {"one": value, "many": [value], "rows": [[value]]}[self.shape]
        return json.dumps(body | {self.field: wrapped}).encode()

    def read(self, value: Any) -> Any:
        """Decode such an object and return what the integer became."""
        found = getattr(m.decode(self.frame(value), self.struct), self.field)
        return {"one": lambda: found, "many": lambda: found[0], "rows": lambda: found[0][0]}[self.shape]()


def number_in(kind: msgspec.inspect.Type) -> tuple[type, str] | None:
    """Find the integer type of a member and how deep it is in lists; ``None`` if there is none."""
    if isinstance(kind, msgspec.inspect.UnionType):
        return next((found for part in kind.types if (found := number_in(part))), None)
    if isinstance(kind, msgspec.inspect.VarTupleType):
        inner = number_in(kind.item_type)
        return None if inner is None else (inner[0], {"one": "many", "many": "rows"}[inner[1]])
    if isinstance(kind, msgspec.inspect.CustomType):
        return kind.cls, "one"
    return None


def example(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Build the smallest JSON object that the struct accepts."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    body = {field.encode_name: value_of(field.type) for field in info.fields if field.required}
    return body | ({str(info.tag_field): info.tag} if info.tag_field else {})


def value_of(kind: msgspec.inspect.Type) -> Any:
    """Build a JSON value of a member's type."""
    match kind:
        case msgspec.inspect.StructType():
            return example(kind.cls)
        case msgspec.inspect.UnionType():
            return value_of(kind.types[0])
        case msgspec.inspect.CustomType():
            return "1"
        case msgspec.inspect.VarTupleType():
            return []
        case msgspec.inspect.DictType():
            return {}
        case msgspec.inspect.StrType():
            return "1"
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.IntType():
            return 1
        case msgspec.inspect.FloatType():
            return 0.5
        case msgspec.inspect.NoneType():
            return None
    raise AssertionError(f"no example for {kind}")


def places() -> list[Place]:
    found = []
    for struct in STRUCTS:
        info = msgspec.inspect.type_info(struct)
        assert isinstance(info, msgspec.inspect.StructType)
        for field in info.fields:
            number = number_in(field.type)
            if number is not None:
                found.append(Place(struct, field.name, *number))
    return found


PLACES: Final = places()
every_place = pytest.mark.parametrize("place", PLACES, ids=lambda at: f"{at.struct.__name__}.{at.field}")


def test_places_are_found() -> None:
    """The search for numeric members finds them in every kind of message, in lists and beside null."""
    names = {f"{place.struct.__name__}.{place.field}" for place in PLACES}

    assert len(PLACES) > 180
    assert names >= {
        "Trade.price",
        "Fill.submission_idx",
        "OrderUpdate.filled_qty",
        "Order.nonce",
        "SubaccountInfo.health_contributions",
        "SymbolInfo.max_open_interest_x18",
        "MarketPricesQuery.product_ids",
        "Match.margin",
    }


@every_place
def test_aliases_are_refused(place: Place) -> None:
    """A string that is not the one canonical spelling of an integer is refused, as is a fraction."""
    for text in ALIASES:
        with pytest.raises(MalformedFrame):
            m.decode(place.frame(text), place.struct)
    others: list[Any] = [1.0, 1e3, True, [], {}]
    for value in others:
        with pytest.raises(MalformedFrame):
            m.decode(place.frame(value), place.struct)


@every_place
def test_long_numbers_are_exact(place: Place) -> None:
    """A number far beyond 64 bits keeps every digit, and is written back as the string it was."""
    for number in (0, -5, 2**53 + 1, 2**64 + 1, 2**127 - 1, -(2**127)):
        assert number == place.read(str(number))
        message = m.decode(place.frame(str(number)), place.struct)
        assert json.loads(place.frame(str(number)))[place.field] == json.loads(m.encode(message))[place.field]


@every_place
def test_number_form(place: Place) -> None:
    """A JSON number is refused, save where sources disagree: there it is exact and stays a number."""
    if issubclass(place.number, StrInt):
        with pytest.raises(MalformedFrame, match="integer in a string"):
            m.decode(place.frame(1), place.struct)
        return

    assert place.read(2**64 + 1) == 2**64 + 1
    message = m.decode(place.frame(2**64 + 1), place.struct)
    assert json.loads(place.frame(2**64 + 1))[place.field] == json.loads(m.encode(message))[place.field]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda kind: kind.__name__)
def test_unknown_members_are_ignored(struct: type[WireStruct]) -> None:
    """A member that this version does not know changes nothing; streams alone are strict, as the venue is."""
    body = example(struct)
    extended = json.dumps(body | {"no_such_member": {"deep": [1, "x"]}})

    if struct is m.Stream:
        with pytest.raises(MalformedFrame, match="no_such_member"):
            m.decode(extended, struct)
    else:
        assert m.decode(json.dumps(body), struct) == m.decode(extended, struct)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda kind: kind.__name__)
def test_missing_members_are_named(struct: type[WireStruct]) -> None:
    """A frame without a required member is malformed, and the message names the member."""
    body = example(struct)
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)

    for field in info.fields:
        if field.required:
            rest = {name: value for name, value in body.items() if name != field.encode_name}
            with pytest.raises(MalformedFrame, match=f"`{field.encode_name}`"):
                m.decode(json.dumps(rest), struct)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda kind: kind.__name__)
def test_missing_and_null_are_told_apart(struct: type[WireStruct]) -> None:
    """An optional member that may be null is written back as it came: missing, or null."""
    body = example(struct)
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)

    for field in info.fields:
        if field.required or field.default is not msgspec.UNSET or struct in (m.Reply, m.StreamError):
            continue
        if isinstance(field.type, msgspec.inspect.UnionType) and field.type.includes_none:
            with_null = body | {field.encode_name: None}
            assert with_null == json.loads(m.encode(m.decode(json.dumps(with_null), struct)))
        assert field.encode_name not in json.loads(m.encode(m.decode(json.dumps(body), struct)))
