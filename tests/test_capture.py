"""Captures: what is written is read back unchanged, and damage is found and named."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.capture import (
    CancelAndPlace,
    Connect,
    Disconnect,
    End,
    Execute,
    Frame,
    Header,
    MarketHeader,
    Place,
    PlaceOrders,
    QueryAsked,
    Reader,
    Record,
    Recorder,
    Restored,
    StreamPing,
    SubscribeAsked,
    Tick,
    UnsubscribeAsked,
    redact,
)
from nadows.errors import CaptureError, NadowsError, UsageError
from nadows.journal.records import Confirmed
from nadows.messages import Stream, SymbolsQuery
from nadows.network import TESTNET
from nadows.signing import (
    Signer,
    Subaccount,
    sign_cancel_and_place,
    sign_cancel_orders,
    sign_order,
    sign_place_orders,
)

HEADER = Header(network="sim", chain_id=1, endpoint="0x" + "11" * 20, started_ns=5, seed=7)
SIGNER = Signer(b"\x07" * 32)
OWN = Subaccount.of(SIGNER.address, "default")
ORDER = sign_order(SIGNER, TESTNET.domain, 4, OWN, 3000 * 10**18, -(10**18), 2**32 - 1, 77, 1, id=9)
CANCEL = sign_cancel_orders(SIGNER, TESTNET.domain, OWN, [4], ["0x" + "ab" * 32], 78)


def record(path: Path, *steps: Callable[[Recorder], None]) -> None:
    """Write a whole capture; *steps* are what the client tells the recorder."""
    recorder = Recorder(path, HEADER, wall_ns=lambda: 1_000)
    for step in steps:
        step(recorder)
    recorder.finish("feed")


def read(path: Path, *, partial: bool = False) -> list[Record]:
    with Reader(path) as reader:
        return list(reader.records(partial=partial))


def frame(data: str | bytes) -> Callable[[Recorder], None]:
    return lambda recorder: recorder.frame("subscriptions", data, 3)


def test_everything_a_client_takes_in_is_recorded_in_order(tmp_path: Path) -> None:
    """Each input becomes one numbered record with both clocks, and the end counts the frames."""
    path = tmp_path / "all.jsonl"
    both = sign_cancel_and_place(CANCEL, ORDER)
    batch = sign_place_orders([ORDER])

    record(
        path,
        lambda r: r.asked("subscribe", Stream.trade(4), 1),
        lambda r: r.connected("gateway", 2),
        frame('{"result":null,"id":1}'),
        lambda r: r.asked("query", SymbolsQuery(), 4),
        lambda r: r.asked("ping", None, 5),
        lambda r: r.asked("place", ORDER, 6),
        lambda r: r.asked("cancel_and_place", both, 7),
        lambda r: r.asked("execute", ("execute_cancel_orders", CANCEL.signature), 8),
        lambda r: r.tick(9),
        lambda r: r.asked("unsubscribe", Stream.trade(4), 10),
        lambda r: r.asked("place_orders", batch, 11),
        lambda r: r.lost("gateway", "the venue went away", 12),
        lambda r: r.asked("restore", (Confirmed(n=5),), 13),
    )

    records = read(path)
    kinds = [
        *(SubscribeAsked, Connect, Frame, QueryAsked, StreamPing, Place, CancelAndPlace),
        *(Execute, Tick, UnsubscribeAsked, PlaceOrders, Disconnect, Restored, End),
    ]
    assert kinds == [type(each) for each in records]
    assert list(range(1, 15)) == [each.n for each in records]
    assert [*range(1, 14), 13] == [each.m for each in records]
    assert {1_000} == {each.w for each in records}
    assert End(n=14, w=1_000, m=13, frames=1, state_hash="feed") == records[-1]
    assert records[0] == SubscribeAsked(n=1, w=1_000, m=1, stream=Stream.trade(4))
    assert records[5].order.price_x18 == str(3000 * 10**18)  # type: ignore[union-attr]


def test_an_input_without_a_record_is_a_defect(tmp_path: Path) -> None:
    """A client that learns to ask for something new cannot be recorded by halves."""
    recorder = Recorder(tmp_path / "x.jsonl", HEADER)
    with pytest.raises(AssertionError, match="no record for 'teleport'"):
        recorder.asked("teleport", None, 1)
    recorder.close()


def test_the_header_says_what_a_replay_needs(tmp_path: Path) -> None:
    """The first line has the version of the format, the venue, and the seed."""
    path = tmp_path / "empty.jsonl"
    record(path)
    with Reader(path) as reader:
        assert HEADER == reader.header
    first = json.loads(path.read_text().splitlines()[0])
    assert (1, "sim", 7) == (first["nadows_capture"], first["network"], first["seed"])


@pytest.mark.parametrize(
    ("data", "member"),
    [
        (b'{"type":"trade","price":"1"}', "frame"),
        (b'{"a" : [1.0e5, "\xc3\xa9"] }', "frame"),
        (b"[]", "frame"),
        (b' {"a":1}', "text"),
        (b'{"a":1}\n', "text"),
        (b'{"a":\n1}', "text"),
        (b'{"a":\r1}', "text"),
        (b'{"a":1', "text"),
        (b'{"a":1}}', "text"),
        (b"<html>", "text"),
        (b"", "text"),
        (b'{"a":"\xff"}', "base64"),
        (b"[" * 100_000 + b"]" * 100_000, "text"),
    ],
)
def test_a_frame_is_embedded_as_json_only_if_that_keeps_its_bytes(
    tmp_path: Path, data: bytes, member: str
) -> None:
    """JSON on one line stays readable in the file; whatever else comes is kept all the same."""
    path = tmp_path / "frame.jsonl"

    record(path, frame(data))

    line = path.read_bytes().splitlines()[1]
    assert f'"line":"subscriptions","{member}":'.encode() in line
    first = read(path)[0]
    assert isinstance(first, Frame)
    assert data == first.payload


@given(data=st.one_of(st.binary(), st.text(), st.text('{}[]":,0\n\\ x')))
def test_any_frame_is_read_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, data: str | bytes
) -> None:
    """What is recorded is what came, whatever came."""
    path = tmp_path_factory.mktemp("frames") / "any.jsonl.gz"

    record(path, frame(data))

    first = read(path)[0]
    assert isinstance(first, Frame)
    assert (data.encode() if isinstance(data, str) else data) == first.payload


def test_no_signature_gets_into_a_file(tmp_path: Path) -> None:
    """Signatures of orders and their echoes become hashes, equal for equal ones, in whatever they stand."""
    path = tmp_path / "signed.jsonl"
    echo = json.dumps({"status": "success", "signature": ORDER.signature, "digest": ORDER.digest})

    record(
        path,
        lambda r: r.asked("place", ORDER, 1),
        frame(echo),
        frame(json.dumps({"error": f'in {{"signature":"{ORDER.signature.upper().replace("0X", "0x")}"}}'})),
        lambda r: r.lost("gateway", f"closed ({ORDER.signature})", 1),
        lambda r: r.asked("execute", ("execute_cancel_orders", CANCEL.signature), 1),
    )

    text = path.read_text()
    assert not re.search("[0-9a-fA-F]{130}", text)
    assert ORDER.digest in text
    hashes = re.findall("sha256:[0-9a-f]{32}", text)
    assert 5 == len(hashes)
    assert 1 == len(set(hashes[:4]))
    assert hashes[0] != hashes[4]


def test_redaction_touches_nothing_else() -> None:
    """Digests, subaccounts and addresses are no signatures."""
    data = ('{"digest":"0x' + "ab" * 32 + '","sender":"0x' + "cd" * 32 + '"}').encode()
    assert data == redact(data)
    assert b"{}" == redact(b"{}")


# -- where to write --------------------------------------------------------------------------------


def test_a_file_that_holds_something_is_not_replaced(tmp_path: Path) -> None:
    """Data is lost only by order; an empty file, as mktemp makes it, is none."""
    path = tmp_path / "kept.jsonl"
    path.write_text("precious\n")

    with pytest.raises(UsageError, match=r"exists already.*--force"):
        Recorder(path, HEADER)

    assert "precious\n" == path.read_text()
    Recorder(path, HEADER, overwrite=True).finish("a")
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    Recorder(empty, HEADER).finish("a")
    assert 1 == len(read(path)) == len(read(empty))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A wrong path is the user's mistake, found before anything is recorded."""
    with pytest.raises(UsageError, match=r"cannot write the capture .*: No such file or directory"):
        Recorder(tmp_path / "nowhere" / "x.jsonl", HEADER)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_full_disk_ends_the_recording_and_is_reported(size: int) -> None:
    """The client goes on, and whoever looks after the recording is told."""
    recorder = Recorder(Path("/dev/full"), HEADER)
    recorder.check()
    recorder.frame("gateway", b"[" + b" " * size + b"]", 1)
    with pytest.raises(NadowsError, match=r"/dev/full ends at record 1: No space left on device; make room"):
        recorder.check()
    recorder.frame("gateway", b"{}", 1)
    with pytest.raises(NadowsError, match="No space left"):
        recorder.finish("a")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_at_the_last_moment_is_reported() -> None:
    """What was buffered until the end is written then, and fails then."""
    recorder = Recorder(Path("/dev/full"), HEADER, wall_ns=lambda: 0)
    recorder.tick(1)
    with pytest.raises(NadowsError, match="No space left"):
        recorder.finish("a")


def test_what_is_recorded_is_on_disk_within_a_second(tmp_path: Path) -> None:
    """A crash costs a second, not the recording."""
    path = tmp_path / "flushed.jsonl"
    wall_ns = [2 * 10**9, 2 * 10**9 + 1, 4 * 10**9]
    recorder = Recorder(path, HEADER, wall_ns=lambda: wall_ns[0])
    on_disk = []
    for m in range(3):
        recorder.tick(m)
        on_disk.append(len(path.read_bytes().splitlines()))
        del wall_ns[0]
    recorder.close()
    recorder.close()

    # The header goes with the first flush; the second record waits; the third is late enough.
    assert [2, 2, 4] == on_disk


# -- damage ----------------------------------------------------------------------------------------


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def damage(change: Callable[[list[bytes]], list[bytes]], tmp_path: Path) -> Path:
    """Write a capture of five frames, and change its lines."""
    path = tmp_path / "damaged.jsonl"
    record(path, *(frame(f'{{"number":{number}}}') for number in range(5)))
    path.write_bytes(b"".join(change(lines_of(path))))
    return path


DAMAGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a line is removed": (lambda x: x[:3] + x[4:], "line 4: this is record 4 where 3 must be"),
    "a line is doubled": (lambda x: [*x[:3], x[2], *x[3:]], "line 4: this is record 2 where 3 must be"),
    "lines are swapped": (lambda x: [*x[:2], x[3], x[2], *x[4:]], "line 3: this is record 3 where 2 must be"),
    "a line is cut": (lambda x: [*x[:3], x[3][:30] + b"\n", *x[4:]], "line 4: Input data was truncated"),
    "a line is garbage": (lambda x: [*x[:3], b"\x00\xff\n", *x[4:]], "line 4: JSON is malformed"),
    "a line is empty": (lambda x: [*x[:3], b"\n", *x[4:]], "line 4: Input data was truncated"),
    "a line is of no kind": (lambda x: [*x[:3], b'{"kind":"x"}\n'], "line 4: Invalid value 'x'"),
    "a line lacks a member": (
        lambda x: [*x[:3], b'{"kind":"tick","n":3}\n'],
        "line 4: Object missing required",
    ),
    "the end is missing": (lambda x: x[:-1], "line 7: the recording has no end.*--partial"),
    "the file is cut in a line": (lambda x: [*x[:4], x[4][:20]], "line 5: cut off in the middle"),
    "the end counts more": (
        lambda x: [*x[:-1], x[-1].replace(b'"frames":5', b'"frames":6')],
        "line 7: the recording had 6 frames, the file has 5",
    ),
    "something follows the end": (lambda x: [*x, x[2]], "line 8: there is more after the end"),
    "nested too deep": (
        lambda x: [*x[:3], b'{"kind":"frame","n":3,"w":1,"m":1,"line":"a","frame":' + b"[" * 100_000 + b"\n"],
        "line 4: ",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_found_and_its_line_named(tmp_path: Path, kind: str) -> None:
    """Whatever happened to a file, the first line that is not as it was written is named."""
    change, message = DAMAGES[kind]
    path = damage(change, tmp_path)
    with pytest.raises(CaptureError, match=f"damaged.jsonl, {message}"):
        read(path)


@pytest.mark.parametrize("kind", ["the end is missing", "the file is cut in a line"])
def test_an_interrupted_recording_can_be_taken_as_it_is(tmp_path: Path, kind: str) -> None:
    """With leave, what was written until the interruption is read, and no more is asked for."""
    path = damage(DAMAGES[kind][0], tmp_path)
    numbers = [each.n for each in read(path, partial=True)]
    assert list(range(1, len(numbers) + 1)) == numbers
    assert numbers


def test_leave_to_be_partial_is_no_leave_to_be_damaged(tmp_path: Path) -> None:
    """A hole in the middle is an error also for those who take what there is."""
    path = damage(DAMAGES["a line is removed"][0], tmp_path)
    with pytest.raises(CaptureError, match="line 4"):
        read(path, partial=True)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_compressed_file_that_was_cut_is_found(tmp_path: Path, keep: float) -> None:
    """The end of the compressed data is missed like any other, and as much as there is can be taken."""
    path = tmp_path / "cut.jsonl.gz"
    record(path, *(frame(f'{{"number":{number * 7919}}}') for number in range(3000)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])

    with pytest.raises(CaptureError, match=r"cut.jsonl.gz, line \d+: the compressed data ends too early"):
        read(path)
    assert 100 < len(read(path, partial=True)) < 3000


def test_compressed_data_that_is_damaged_is_found(tmp_path: Path) -> None:
    """Flipped bits inside the compression are an error of the line that is being read."""
    path = tmp_path / "flipped.jsonl.gz"
    record(path, *(frame(f'{{"number":{number * 7919}}}') for number in range(3000)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CaptureError, match="line "):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "line 1: neither a capture .* nor market data"),
        (b'{"some":"json"}\n', "line 1: neither a capture"),
        (b"[1,2]\n", "line 1: neither a capture"),
        (
            b'{"nadows_capture":99,"nadows":"9.1"}\n',
            "line 1: format 99, and this version reads format 1: use nadows 9.1",
        ),
        (b'{"nadows_capture":1}\n', "line 1: Object missing required field"),
        (b'{"nadows_capture":1,"netw', "line 1: neither a capture"),
        (
            gzip.compress(b'{"nadows_capture":1}\n', mtime=0)[:12],
            "line 1: the compressed data ends too early",
        ),
        (b"\x1f\x8b" + bytes(50), "line 1: cannot be read"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """What is not ours is said to be that, with what would be."""
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=message):
        Reader(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a directory, is an error that names it."""
    with pytest.raises(CaptureError, match=r"cannot read .*gone.jsonl: No such file or directory"):
        Reader(tmp_path / "gone.jsonl")
    with pytest.raises(CaptureError, match="Is a directory"):
        Reader(tmp_path)


# -- market data -----------------------------------------------------------------------------------


def market_file(path: Path, *lines: Any, header: dict[str, Any] | None = None) -> Path:
    first = header or {
        "product_id": 4,
        "snapshot": {"product_id": 4, "timestamp": "1", "bids": [], "asks": []},
    }
    path.write_text("".join(json.dumps(line) + "\n" for line in (first, *lines)))
    return path


def test_market_data_is_told_from_a_capture(tmp_path: Path) -> None:
    """A first line with a snapshot makes it market data; its lines are a time and a frame."""
    path = market_file(tmp_path / "m.jsonl", [5, {"type": "trade"}], [6, []])
    with Reader(path) as reader:
        assert isinstance(reader.header, MarketHeader)
        assert 4 == reader.header.product_id
        assert [(5, b'{"type": "trade"}'), (6, b"[]")] == [
            (at, bytes(raw)) for at, raw in reader.market_lines()
        ]


def test_a_broken_line_of_market_data_is_named(tmp_path: Path) -> None:
    """Each line must be a time and a frame."""
    path = market_file(tmp_path / "m.jsonl", [5, {}], {"not": "a pair"})
    with Reader(path) as reader, pytest.raises(CaptureError, match=r"m.jsonl, line 3: Expected `array`"):
        list(reader.market_lines())
    path.write_bytes(path.read_bytes()[:-8])
    with Reader(path) as reader, pytest.raises(CaptureError, match=r"m.jsonl, line 3: cut off in the middle"):
        list(reader.market_lines())
