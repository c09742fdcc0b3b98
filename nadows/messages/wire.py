"""How values travel: the hooks that every codec of this package shares.

Fixed point and instants travel as decimal strings and become the integer types of
`nadows.units`. msgspec's lax mode would do that too, but it also turns ``"1e3"`` and
``"1.0"`` into integers without a word, and two spellings of one price are two levels of a
book; so the codecs are strict and the strings go through `nadows.units.parse_int`.

A member that may be missing defaults to ``UNSET``, a member that may be ``null`` admits
``None``: the two are told apart, so that what was read is written back as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from nadows.errors import MalformedFrame
from nadows.units import StrInt, parse_int

__all__ = [
    "UNSET",
    "IntOrText",
    "Preserved",
    "ProductId",
    "RequestId",
    "UnreadableRequest",
    "UnsetType",
    "WireStruct",
    "as_text",
    "decode",
    "encode",
]

T = TypeVar("T")

ProductId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
"""A product's id, u32; 0 is the quote asset."""

# msgspec has no bounds beyond int64, so the upper end of u64 is not checked here.
RequestId = Annotated[int, msgspec.Meta(ge=0)]
"""A request's or an order's client-chosen number, u64."""

if TYPE_CHECKING:
    IntOrText = int
else:

    class IntOrText(int):
        """An integer that some sources show as a JSON number and others as a string.

        Both forms are read, and each is written back as it came. To callers it is an ``int``; a plain
        ``int`` put in its place travels as a number, `as_text` makes one that travels as a string.
        """

        __slots__ = ()


class _TextInt(IntOrText):
    """An `IntOrText` that came as a string."""

    __slots__ = ()


def as_text(value: int) -> int:
    """Make an integer that travels as a decimal string in a member of either form."""
    return _TextInt(value)


class WireStruct(msgspec.Struct, frozen=True, gc=False):
    """Base of every wire type: immutable; without cycles, so the garbage collector need not look at it."""


class Preserved:
    """A JSON object whose type is not known, kept byte for byte.

    Attributes:
        type: The object's ``type`` member.
        raw: The JSON text as it came (UTF-8).
    """

    __slots__ = ("raw", "type")

    def __init__(self, kind: str, raw: bytes) -> None:
        self.type = kind
        self.raw = raw

    @property
    def fields(self) -> dict[str, Any]:
        """All members, decoded; integers are exact."""
        members: dict[str, Any] = msgspec.json.decode(self.raw)
        return members

    def wire_form(self) -> msgspec.Raw:
        """Give what JSON is to be written."""
        return msgspec.Raw(self.raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Preserved) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.type!r}, {self.raw!r})"


class UnreadableRequest(MalformedFrame):
    """A request that the venue cannot read.

    Attributes:
        text: What to answer, worded as the venue words it: ``error parsing request: missing field `id` ``.
        id: The request's id, 0 when it cannot be read either; the venue answers such requests with 0.

    Source: protocol.md 2.1 (live capture).
    """

    def __init__(self, text: str, frame: bytes | str = b"", id: int = 0) -> None:
        self.text = text
        self.id = id
        super().__init__(text, frame)


def _read_number(kind: type, value: Any) -> Any:
    """Build one of our integer types from JSON (msgspec's ``dec_hook``; ValueError: invalid input)."""
    if type(value) is str:
        target = _TextInt if kind is IntOrText else kind
        # Nearly all values are plain digits; the general rule costs three times as much.
        if value.isdigit() and value.isascii() and (value[0] != "0" or value == "0"):
            return target(value)
        return target(parse_int(value))
    if kind is IntOrText and type(value) is int:
        return IntOrText(value)
    wanted = "an integer" if kind is IntOrText else "an integer in a string"
    raise ValueError(f"Expected {wanted}, got {value!r}")


def _write_value(value: Any) -> Any:
    """Turn what msgspec does not know into what it knows (its ``enc_hook``)."""
    if isinstance(value, StrInt | _TextInt):
        return str(int(value))
    if isinstance(value, int):
        return int(value)
    # Classes that are not structs say themselves what they are on the wire.
    form = getattr(value, "wire_form", None)
    if form is None:
        raise NotImplementedError(f"{type(value).__name__} has no place on the wire: {value!r}")
    return form()


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_write_value)


def encode(message: Any) -> bytes:
    """Write a message as compact JSON (UTF-8)."""
    return _ENCODER.encode(message)


MAX_NESTING: Final = 1000
"""How deep a text may nest: the deepest documented answer nests 7 deep, Python's default limit is 1000."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class Decoder:
    """A strict JSON decoder that knows our integer types and bounds the nesting.

    msgspec recurses in C and relies on Python's recursion limit to stop in time. Libraries raise that limit
    (py_ecc, which eth-account imports, to 100,000), and then a deeply nested frame would end the process.
    """

    __slots__ = ("_decode",)

    def __init__(self, kind: Any) -> None:
        self._decode = msgspec.json.Decoder(kind, dec_hook=_read_number).decode

    def decode(self, frame: bytes | str) -> Any:
        """Decode one text; raises `FOREIGN` errors, see `read`."""
        # Counting costs 0.1 us; no text nests deeper than it has opening brackets.
        if isinstance(frame, bytes):
            openings = frame.count(b"[") + frame.count(b"{")
        else:
            openings = frame.count("[") + frame.count("{")
        if openings > MAX_NESTING:
            _check_nesting(frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass"))
        return self._decode(frame)


def _check_nesting(frame: bytes) -> None:
    """Raise RecursionError if the text nests too deep; takes time by its depth, not by its brackets."""
    brackets = _STRING.sub(b"", frame).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_NESTING):
        if len(brackets) <= MAX_NESTING:
            return
        before = len(brackets)
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(brackets) == before:
            break
    raise RecursionError(f"JSON nested deeper than {MAX_NESTING}")


def decoder(kind: Any) -> Decoder:
    """Make a `Decoder`."""
    return Decoder(kind)


def convert(value: Any, kind: type[T]) -> T:
    """Build *kind* from already decoded JSON (dicts, lists, strings).

    Raises:
        msgspec.ValidationError: If *value* does not fit.
    """
    return msgspec.convert(value, kind, dec_hook=_read_number)


FOREIGN: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec raises on bad input: invalid JSON or UTF-8, a wrong shape, nesting beyond the stack."""


def read(source: Decoder, frame: bytes | str) -> Any:
    """Decode one frame.

    Raises:
        MalformedFrame: If the frame is not valid JSON, or does not fit the decoder's type.
    """
    try:
        return source.decode(frame)
    except FOREIGN as error:
        raise malformed(error, frame) from error


def decode(frame: bytes | str, kind: Any) -> Any:
    """Read one JSON text as *kind*: a struct of this package, or for example ``tuple[SymbolInfo, ...]``.

    Raises:
        MalformedFrame: If it is not valid JSON, or not a *kind*.
    """
    return read(_decoder_of(kind), frame)


@cache
def _decoder_of(kind: Any) -> Decoder:
    return decoder(kind)


def request_id(body: dict[str, Any]) -> int:
    """Find the id in a request that cannot be read as a whole; 0 if it is not a usable one."""
    value = body.get("id")
    return value if type(value) is int and value >= 0 else 0


def unreadable(
    frame: bytes | str,
    error: Exception,
    complain: Callable[[dict[str, Any], Exception], str],
    find_id: Callable[[dict[str, Any]], int] = request_id,
) -> UnreadableRequest:
    """Translate one of `FOREIGN` that a request raised, in the words of the venue as far as they are known.

    Args:
        frame: The request.
        error: What it raised.
        complain: Words the complaint about a request that is an object.
        find_id: Finds the id in such a request.
    """
    shown = malformed(error, frame).frame
    try:
        body = read(_decoder_of(Any), frame)
    except MalformedFrame as broken:
        return UnreadableRequest(f"error parsing request: {broken.reason}", shown)
    if not isinstance(body, dict):
        return UnreadableRequest("error parsing request: invalid type, expected a map", shown)
    return UnreadableRequest(f"error parsing request: {complain(body, error)}", shown, find_id(body))


def malformed(error: Exception, frame: bytes | str) -> MalformedFrame:
    """Translate one of `FOREIGN`."""
    # A lone surrogate cannot be encoded; the log of a broken frame must not break on it.
    shown = frame.encode(errors="replace") if isinstance(frame, str) else frame
    return MalformedFrame(str(error), shown)


def serde_words(text: str) -> str:
    """Word a msgspec message as the venue's own reader would, where the two have a counterpart.

    >>> serde_words("Object missing required field `id` - at `$.stream`")
    'missing field `id`'
    """
    for ours, theirs in (
        ("Object missing required field", "missing field"),
        ("Object contains unknown field", "unknown field"),
    ):
        if text.startswith(ours):
            return theirs + text.removeprefix(ours).split(" - at ")[0]
    return text


def unknown_variant(name: object, known: Iterable[str]) -> str:
    """Complain about a name that is not one of *known*, as the venue does: it lists what it knows."""
    return f"unknown variant `{name}`, expected one of " + ", ".join(f"`{one}`" for one in known)
