"""Commands as their users run them: what is printed where, and with which code they end."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from nadows.cli import COMMANDS
from tests.market_data import ETH_PERP, needs_market_data

from .conftest import CLEAN, NADOWS, Run

KEY = "5b" * 32
"""A canary: it may appear nowhere."""
WALLET = "0x" + "0" * 40


def lines_of(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Read standard output as JSON lines; the command must have ended well."""
    assert (0, []) == (result.returncode, re.findall("Traceback", result.stderr)), result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def refused(result: subprocess.CompletedProcess[str], code: int) -> str:
    """Check that a command failed as it should: nothing on stdout, a sentence on stderr; return that."""
    assert (code, "") == (result.returncode, result.stdout), result.stderr
    assert "Traceback" not in result.stderr
    assert KEY not in result.stderr
    return result.stderr


def children_of(pid: int) -> list[int]:
    """List the processes that say *pid* is their parent."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait for a condition of another process."""
    end = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return met


@contextmanager
def running(*arguments: str, env: dict[str, str] = CLEAN, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the test; it is gone afterwards."""
    process = subprocess.Popen(
        [*NADOWS, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        text=True,
        **options,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


# -- the whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_tells_what_they_tell_themselves(name: str) -> None:
    """The table that help is printed from says of each command what the command says."""
    command = typer.main.get_command(import_module(COMMANDS[name].module).app)
    assert COMMANDS[name].help == (command.help or "").splitlines()[0]


def test_help_and_version(here: Run) -> None:
    """Both go to standard output and are no failure."""
    shown = here("--help")
    assert 0 == shown.returncode
    assert all(f"  {name} " in shown.stdout for name in COMMANDS)
    assert re.fullmatch(r"nadows \d+\.\d+\.\d+\n", here("--version").stdout)
    assert "--record" in here("tail", "-h").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tial"], "No such command 'tial'. Did you mean 'tail'?"),
        (["tail", "--nonsense"], "No such option"),
        (["book"], "Missing argument"),
        (["tail", "nonsense"], "no stream is called 'nonsense'"),
        (["tail", "--duration", "soon"], "a duration is a number with"),
        (["tail", "--limit", "0"], "--limit"),
        (
            ["tail", "--where", "prize>1"],
            "--where, column 1, 'prize': no field is called so: did you mean price?",
        ),
        (["tail", "--url", "ftp://x"], "url must be a URL such as http://127.0.0.1:8080"),
        (["tail", "--url", "http://x", "--network", "testnet"], "give one of them"),
        (["auth", "--network", "moon"], "'moon' is not one of 'sim', 'testnet', 'mainnet'"),
        (["auth", "--network", "testnet"], "this needs a private key for testnet: set NADOWS_PRIVATE_KEY"),
        (["auth", "--key-file", "/nowhere"], "cannot read key file /nowhere: No such file or directory"),
        (["replay", "/nowhere"], "cannot read /nowhere: No such file or directory"),
        (["replay", "/dev/null"], "/dev/null is empty"),
        (["replay", __file__], "line 1: neither a capture"),
        (["replay", __file__, "--speed", "0"], "a speed is a positive number"),
        (["serve", "--port", "99999"], "--port"),
        (["serve", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["serve", "--replay", "/nowhere"], "cannot read /nowhere"),
        (["serve", "--speed", "max"], "it needs a speed"),
        (["serve", "--profile", "/nowhere"], "cannot read the profile /nowhere"),
    ],
)
def test_wrong_usage_is_told_with_its_remedy(here: Run, arguments: list[str], message: str) -> None:
    """Code 2, one message on standard error, nothing on standard output."""
    assert message in refused(here(*arguments), 2)


def test_a_wrong_product_is_told_with_those_that_are(nadows: Run, url: str) -> None:
    """The venue's list is the remedy."""
    message = refused(nadows("book", "DOGE", "--once", "--url", url), 2)
    assert "no product is called 'DOGE': the venue lists KBTC, BTC-PERP" in message
    assert "no product is called 'ETH-PERPS': did you mean ETH-PERP?" in refused(
        nadows("tail", "trade:ETH-PERPS", "--url", url), 2
    )


def test_a_wrong_key_is_told_and_not_repeated(nadows: Run, url: str) -> None:
    """Neither in the message nor anywhere else."""
    result = nadows("auth", "--url", url, env={"NADOWS_PRIVATE_KEY": KEY + "5b"})
    assert "NADOWS_PRIVATE_KEY: a private key is 32 bytes of hex" in refused(result, 2)


@pytest.mark.parametrize("command", [("tail",), ("book", "ETH"), ("auth",)])
def test_a_venue_that_is_not_there(nadows: Run, command: tuple[str, ...]) -> None:
    """Code 1, and what to check."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        message = refused(nadows(*command, "--url", f"http://127.0.0.1:{unused.getsockname()[1]}"), 1)
    assert "cannot connect" in message
    assert "is the venue running there?" in message


def test_a_venue_that_answers_with_a_web_page(nadows: Run) -> None:
    """Code 1, and what is wrong with the address."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>not a venue</html>")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        message = refused(nadows("tail", "--url", f"http://127.0.0.1:{server.server_port}"), 1)
        server.shutdown()
    assert "nadows: ws://127.0.0.1" in message
    assert "the URL" in message or "check host and port" in message


# -- auth ------------------------------------------------------------------------------------------


def test_auth_says_who_one_is(nadows: Run, url: str, tmp_path: Path) -> None:
    """Address, subaccount, skew and round trip, from a key in the environment or in a file; never the key."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY + "\n")
    key_file.chmod(0o600)

    for result in (
        nadows("auth", "--url", url, "--log-level", "debug", env={"NADO_PRIVATE_KEY": KEY}),
        nadows("auth", "--url", url, "--key-file", str(key_file)),
    ):
        [found] = lines_of(result)
        assert KEY not in result.stdout + result.stderr
        assert (True, "default", 763373) == (
            found["authenticated"],
            found["subaccount_name"],
            found["chain_id"],
        )
        assert found["subaccount"].startswith(found["address"].lower())
        assert abs(found["clock_skew_ms"]) < 10_000
        assert found["round_trip_ms"] > 0


def test_auth_refuses_a_key_that_others_can_read(here: Run, tmp_path: Path) -> None:
    """A key on a shared machine is as good as published."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o644)
    message = refused(here("auth", "--key-file", str(key_file)), 2)
    assert f"can be read by others (mode 644): chmod 600 {key_file}" in message


def test_auth_makes_a_wallet_for_the_embedded_venue(nadows: Run) -> None:
    """It says so, names the venue plainly, and leaves nothing running."""
    result = nadows("auth", "--subaccount", "other")
    [found] = lines_of(result)
    assert ("sim", "other") == (found["network"], found["subaccount_name"])
    assert found["subaccount"].startswith(found["address"].lower())
    [_, pid] = re.findall(r"sim: embedded venue, (paper money) \(process (\d+)\)", result.stderr)[0]
    assert "no key was given: a throw-away wallet" in result.stderr
    assert not is_running(int(pid))


# -- tail ------------------------------------------------------------------------------------------


def test_tail_prints_events_as_the_venue_writes_them(nadows: Run, url: str) -> None:
    """One JSON object a line, wire names, the symbol added, trades and tops of all products by default."""
    result = nadows("tail", "--limit", "200", "--url", url)
    events = lines_of(result)
    assert 200 == len(events)
    assert {"trade", "best_bid_offer"} == {event["type"] for event in events}
    assert {"BTC-PERP", "ETH-PERP"} < {event["symbol"] for event in events}
    assert all(event["timestamp"].isdecimal() for event in events)


def test_tail_of_a_book_tells_when_it_is_live(nadows: Run, url: str) -> None:
    """What happens to a book is a line, and does not count as an event."""
    events = lines_of(nadows("tail", "book_depth:ETH", "--limit", "5", "--url", url))
    assert 5 == sum(event["type"] == "book_depth" for event in events)
    changes = [event for event in events if event["type"] == "book_changed"]
    assert {"product_id": 4, "symbol": "ETH-PERP", "type": "book_changed", "state": "live"} in changes


def test_tail_shows_what_is_asked_for_and_counts_only_that(nadows: Run, url: str) -> None:
    """One product, and conditions on it; streams of other products are not even subscribed."""
    arguments = (
        "tail",
        "--product",
        "ETH",
        "--where",
        "side=buy and qty>0.001",
        "--limit",
        "5",
        "--url",
        url,
    )
    events = lines_of(nadows(*arguments))
    assert 5 == len(events)
    assert {("trade", "ETH-PERP", True)} == {
        (event["type"], event["symbol"], event["is_taker_buyer"]) for event in events
    }
    assert "no product is called 'ETHH': did you mean" in refused(
        nadows("tail", "-p", "ETHH", "--url", url), 2
    )


def test_tail_ends_after_its_time(nadows: Run, url: str) -> None:
    """Also when nothing comes."""
    result = nadows("tail", "fill", "--duration", "300ms", "--url", url, "--quiet")
    assert [] == lines_of(result)
    assert "" == result.stderr


def test_a_recording_is_replayed_to_the_same_state(nadows: Run, url: str, tmp_path: Path) -> None:
    """A capture of all streams ends in the hash that it was recorded with, each time."""
    path = tmp_path / "all.jsonl.gz"
    result = nadows(
        *("tail", "all", "--record", str(path), "--duration", "1500ms", "--url", url),
        env={"NADOWS_PRIVATE_KEY": KEY},
    )
    assert lines_of(result)
    assert f"frames recorded in {path}" in result.stderr

    [first], [second] = (lines_of(nadows("replay", str(path), "--json")) for _ in range(2))

    assert first["state_hash"] == second["state_hash"] == first["recorded_hash"]
    assert 0 == first["gaps"]
    assert first["frames"] > 100
    assert first["frames_per_s"] > 0
    assert {"KBTC", "BTC-PERP", "wETH", "ETH-PERP", "USDC", "SOL-PERP"} == set(first["books"])
    for book in first["books"].values():
        assert float(book["bid"][0]) < float(book["ask"][0])
        assert min(book["levels"]) > 50


def test_a_recording_does_not_replace_a_file(nadows: Run, url: str, tmp_path: Path) -> None:
    """Unless it is told to."""
    path = tmp_path / "kept.jsonl"
    path.write_text("precious")
    tail = ("tail", "--record", str(path), "--limit", "1", "--url", url)
    assert "exists already: give another name, or --force" in refused(nadows(*tail), 2)
    assert "precious" == path.read_text()
    assert lines_of(nadows(*tail, "--force"))


def test_a_recording_that_finds_no_room_fails(nadows: Run, url: str) -> None:
    """Disk full is an error, not a silent stop."""
    result = nadows("tail", "--record", "/dev/full", "--duration", "5s", "--url", url)
    assert 1 == result.returncode
    assert "the capture /dev/full ends at record" in result.stderr
    assert "No space left on device" in result.stderr


def test_a_connection_that_is_lost_is_a_line(serve: Callable[..., dict[str, Any]]) -> None:
    """Disconnected and reconnected, and the book in between."""
    port = serve("--limits", "off")["gateway"].rpartition(":")[2].partition("/")[0]
    seen = []
    with (
        _proxy(int(port)) as (proxy_port, cut),
        running("tail", "book_depth:ETH", "--url", f"http://127.0.0.1:{proxy_port}") as tail,
    ):
        assert tail.stdout is not None
        for line in tail.stdout:
            event = json.loads(line)
            seen.append(event["type"])
            if "book_depth" in seen and "disconnected" not in seen:
                cut()
            if event.get("state") == "live" and "disconnected" in seen:
                break
        tail.terminate()
    notices = [each for each in dict.fromkeys(seen) if each != "book_depth"]
    assert {"book_changed", "disconnected", "reconnected"} <= set(notices)


@contextmanager
def _proxy(port: int) -> Iterator[tuple[int, Callable[[], None]]]:
    """Forward connections to a port of this machine until they are cut."""
    listener = socket.create_server(("127.0.0.1", 0))
    pairs: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            end.close()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            venue = socket.create_connection(("127.0.0.1", port))
            pairs.extend((client, venue))
            for ends in ((client, venue), (venue, client)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    def cut() -> None:
        taken, pairs[:] = pairs[:], []
        for end in taken:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], cut
    finally:
        # A blocked accept() does not notice that its socket is closed.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        cut()


# -- book ------------------------------------------------------------------------------------------


def test_book_once(nadows: Run, url: str) -> None:
    """A LIVE book, exact decimals as strings, as deep as asked for."""
    [book] = lines_of(nadows("book", "ETH", "--once", "--depth", "3", "--url", url))
    assert ("book", 4, "ETH-PERP", "live") == tuple(
        book[k] for k in ("type", "product_id", "symbol", "state")
    )
    assert (3, 3) == (len(book["bids"]), len(book["asks"]))
    assert all(re.fullmatch(r"\d+(\.\d+)?", text) for level in book["bids"] + book["asks"] for text in level)
    assert float(book["bids"][0][0]) < float(book["microprice"]) < float(book["asks"][0][0])
    assert book["timestamp"].isdecimal()


def test_book_in_a_pipe_is_a_line_for_each_change(url: str) -> None:
    """At most ten a second; whoever has had enough closes the pipe, and that is no failure."""
    with running("book", "BTC", "--depth", "1", "--url", url) as book:
        assert book.stdout is not None
        books = []
        started = time.monotonic()
        for line in book.stdout:
            books.append(json.loads(line))
            if len(books) == 12:
                break
        took = time.monotonic() - started
        book.stdout.close()
        assert 0 == book.wait(timeout=20)
        assert book.stderr is not None
        assert "Traceback" not in book.stderr.read()
    assert took >= 1.0
    assert all(one["bids"] != two["bids"] or one["asks"] != two["asks"] for one, two in pairwise(books))


# -- replay ----------------------------------------------------------------------------------------


@needs_market_data
def test_replay_of_market_data(nadows: Run) -> None:
    """The last line has the fields of the contract; the book that is asked for comes before it."""
    result = nadows("replay", str(ETH_PERP), "--book", "ETH", "--depth", "2", "--json")
    book, summary = lines_of(result)
    assert {"frames", "seconds", "frames_per_s", "gaps", "state_hash", "books"} <= summary.keys()
    assert (73762, 0) == (summary["frames"], summary["gaps"])
    top = summary["books"]["ETH-PERP"]
    assert (["2681.38", "8.486"], ["2681.39", "22.624"]) == (top["bid"], top["ask"])
    assert [3181, 3013] == top["levels"]
    assert [["2681.38", "8.486"], ["2681.36", "0.04"]] == book["bids"]


def market_file(path: Path, *, span_ns: int = 0, hole: bool = False) -> Path:
    """Write a small file of market data."""
    snapshot = {"product_id": 4, "timestamp": "1", "bids": [["100", "1"]], "asks": [["101", "2"]]}
    depth = {"type": "book_depth", "min_timestamp": "2", "product_id": 4, "bids": [], "asks": []}
    lines: list[Any] = [{"product_id": 4, "snapshot": snapshot}]
    for at, (last, now) in enumerate([(1, 2), (7 if hole else 2, 8)]):
        lines.append(
            [10**9 + at * span_ns, depth | {"last_max_timestamp": str(last), "max_timestamp": str(now)}]
        )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_replay_keeps_the_recorded_pace_if_asked_to(here: Run, tmp_path: Path) -> None:
    """Ten times as fast takes a tenth of the time, and ends in the same state."""
    path = str(market_file(tmp_path / "m.jsonl", span_ns=4 * 10**9))
    [paced] = lines_of(here("replay", path, "--speed", "10"))
    [fast] = lines_of(here("replay", path))
    assert paced["seconds"] >= 0.4 > fast["seconds"]
    assert paced["state_hash"] == fast["state_hash"]


def test_replay_of_a_book_that_was_lost(here: Run, tmp_path: Path) -> None:
    """A hole is counted, and a book that is not LIVE has no prices."""
    path = str(market_file(tmp_path / "m.jsonl", hole=True))
    [summary] = lines_of(here("replay", path, "--book", "ETH"))
    assert 1 == summary["gaps"]
    assert (None, None, "syncing") == tuple(summary["books"]["ETH-PERP"][k] for k in ("bid", "ask", "state"))


def test_replay_finds_damage(nadows: Run, url: str, tmp_path: Path) -> None:
    """A removed line, a missing end, a changed level: each is found, with code 2 or 1."""
    path = tmp_path / "whole.jsonl"
    recorded = nadows("tail", "book_depth:ETH", "--record", str(path), "--limit", "10", "--url", url)
    assert lines_of(recorded)
    lines = path.read_text().splitlines(keepends=True)
    damaged = tmp_path / "damaged.jsonl"

    def replay(*arguments: str, content: list[str]) -> subprocess.CompletedProcess[str]:
        damaged.write_text("".join(content))
        return nadows("replay", str(damaged), *arguments)

    assert "line 8: this is record 8 where 7 must be" in refused(replay(content=lines[:7] + lines[8:]), 2)
    assert "the recording has no end" in refused(replay(content=lines[:-1]), 2)
    assert lines_of(replay("--partial", content=lines[:-1]))
    changed = [re.sub(r'(\["\d+","\d+)0"', r'\g<1>1"', line) for line in lines]
    assert changed != lines
    result = replay(content=changed)
    assert 1 == result.returncode
    assert "the replay ends in state" in result.stderr
    assert "no book of 'BTC': it has ETH-PERP" in refused(nadows("replay", str(path), "--book", "BTC"), 2)


# -- serve -----------------------------------------------------------------------------------------


def test_serve_says_where_it_is_and_nothing_else() -> None:
    """The first and only line on standard output is the ready line; SIGTERM ends it well."""
    with running("serve", "--chain-id", "57073", "--flow", "off") as venue:
        assert venue.stdout is not None
        ready = json.loads(venue.stdout.readline())
        assert (57073, venue.pid) == (ready["chain_id"], ready["pid"])
        assert {
            "gateway",
            "gateway_v2",
            "ws",
            "ws_v2",
            "subscribe",
            "archive",
            "archive_v2",
            "trigger",
        } <= set(ready)
        venue.terminate()
        rest, _ = venue.communicate(timeout=10)
        assert (0, "") == (venue.returncode, rest)


def test_serve_lists_its_switches(nadows: Run) -> None:
    """Every switch is in the help, with its default in the form that a profile takes."""
    shown = nadows("serve", "--help").stdout

    assert "  place_orders_bare_list = true\n" in shown
    assert "  oracle_band_percent = [20, 500]\n" in shown
    assert "  speed_bump_ms = 0\n" in shown


def test_serve_with_a_profile(tmp_path: Path) -> None:
    """The file's switches are set: a wallet that only asks for its balance stays unknown."""
    profile = tmp_path / "profile.toml"
    profile.write_text("funded_on_query = false\n")

    with running("serve", "--profile", str(profile), "--flow", "off") as venue:
        assert venue.stdout is not None
        gateway = json.loads(venue.stdout.readline())["gateway"]
        asked = f"{gateway}/query?type=subaccount_info&subaccount=0x{'11' * 32}"
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert json.loads(answer.read())["data"]["exists"] is False


def test_serve_on_a_port_that_is_taken(nadows: Run, url: str) -> None:
    """Code 2, and what to do."""
    port = url.rpartition(":")[2].partition("/")[0]
    message = refused(nadows("serve", "--port", port), 2)
    assert f"cannot listen on 127.0.0.1:{port}" in message
    assert "choose another port, or 0 for any" in message


def test_serve_finds_damage_of_its_recording_while_it_plays(tmp_path: Path) -> None:
    """A file that turns out to be broken further on ends the venue with code 2."""
    path = market_file(tmp_path / "m.jsonl", span_ns=10**8)
    path.write_text(path.read_text() + "[not json\n")
    with running("serve", "--replay", str(path)) as venue:
        assert venue.stdout is not None
        url = json.loads(venue.stdout.readline())["gateway"]
        with running("tail", "book_depth:ETH", "--url", url):
            _, errors = venue.communicate(timeout=20)
    assert 2 == venue.returncode
    assert "line 4" in errors
    assert "Traceback" not in errors


@needs_market_data
def test_serve_plays_market_data_to_real_sockets(nadows: Run) -> None:
    """`book ETH --once` shows the real market of that moment."""
    with running("serve", "--replay", str(ETH_PERP), "--speed", "10") as venue:
        assert venue.stdout is not None
        url = json.loads(venue.stdout.readline())["gateway"]
        [book] = lines_of(nadows("book", "ETH", "--once", "--url", url))
        assert 2600 < float(book["bids"][0][0]) < float(book["asks"][0][0]) < 2800


# -- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (["tail"], signal.SIGTERM, 0),
        (["tail"], signal.SIGINT, 130),
        (["tail", "--limit", "1000000"], signal.SIGTERM, 130),
        (["book", "ETH"], signal.SIGTERM, 0),
        (["book", "ETH"], signal.SIGINT, 130),
    ],
)
def test_a_signal_ends_a_command_and_its_venue(arguments: list[str], number: int, code: int) -> None:
    """SIGTERM is the end of what has no other, Ctrl-C interrupts; the embedded venue goes with it."""
    with running(*arguments) as command:
        assert command.stdout is not None
        command.stdout.readline()
        [venue] = children_of(command.pid)
        command.send_signal(number)
        _, errors = command.communicate(timeout=20)
    assert code == command.returncode
    assert "Traceback" not in errors
    assert not is_running(venue)


def test_the_embedded_venue_does_not_outlive_a_command_that_is_killed() -> None:
    """Nothing is left running, however the command ended."""
    with running("tail") as command:
        assert command.stdout is not None
        command.stdout.readline()
        [venue] = children_of(command.pid)
        command.kill()
        command.wait()
        until(lambda: not is_running(venue))


def test_a_command_whose_venue_dies_says_so() -> None:
    """Code 1 and the reason, instead of trying again for ever."""
    with running("tail") as command:
        assert command.stdout is not None
        command.stdout.readline()
        [venue] = children_of(command.pid)
        os.kill(venue, signal.SIGKILL)
        _, errors = command.communicate(timeout=20)
    assert 1 == command.returncode
    assert "nadows: the embedded venue ended with code -9" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_replay_can_be_interrupted(tmp_path: Path, number: int) -> None:
    """Also while it sleeps between two frames."""
    path = market_file(tmp_path / "m.jsonl", span_ns=60 * 10**9)
    with running("replay", str(path), "--speed", "1") as command:
        until(lambda: path.name in _open_files(command.pid))
        command.send_signal(number)
        output, errors = command.communicate(timeout=20)
    assert (130, "") == (command.returncode, output)
    assert "Traceback" not in errors


def _open_files(pid: int) -> list[str]:
    """Names of the files that a process has open."""
    return [Path(os.readlink(each)).name for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]


@pytest.mark.parametrize("command", ["--help", "tail --limit 100000"])
def test_a_closed_pipe_is_no_failure(url: str, command: str) -> None:
    """As in `nadows tail | head -3`."""
    env = CLEAN | {"NADOWS_URL": url}
    pipe = f"{sys.executable} -m nadows {command} | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", pipe], capture_output=True, text=True, env=env, timeout=60, check=True
    )
    assert "0" == result.stdout.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr


def test_closed_standard_input_does_not_matter(url: str) -> None:
    """No command reads it without being asked to."""
    result = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m nadows tail --limit 1 <&-"],
        capture_output=True,
        text=True,
        env=CLEAN | {"NADOWS_URL": url},
        timeout=60,
        check=True,
    )
    assert "timestamp" in json.loads(result.stdout)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["--version"], ["book", "ETH", "--once"], ["tail", "--limit", "5"]])
def test_output_that_cannot_be_written_is_told(url: str, command: list[str]) -> None:
    """A full disk behind a redirection is a failure with a sentence."""
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*NADOWS, *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=CLEAN | {"NADOWS_URL": url},
            timeout=60,
            check=False,
        )
    assert 1 == result.returncode
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_line_outweighs_the_environment(nadows: Run, url: str) -> None:
    """A network that is typed counts for more than an address that is set."""
    dead = {"NADOWS_URL": "http://127.0.0.1:1"}
    assert "cannot connect" in refused(nadows("book", "ETH", "--once", env=dead), 1)
    [book] = lines_of(nadows("book", "ETH", "--once", "--url", url, env=dead))
    assert "live" == book["state"]
    result = nadows("book", "ETH", "--once", "--network", "sim", env=dead)
    assert "sim: embedded venue" in result.stderr
    assert "live" == lines_of(result)[0]["state"]
