"""`nadows doctor` and `nadows symbols`."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from nadows.cli.checks import Check, Verdict, clock, key, open_files, packages, proxy, venue_checks
from nadows.configuration import Configuration, resolve
from nadows.network import Network

from .conftest import Run
from .test_commands import lines_of, refused
from .test_terminal import on_terminal

OWNER = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1"


@pytest.mark.parametrize(
    ("skew_ms", "verdict"),
    [(0, "ok"), (-2000, "ok"), (2001, "warn"), (-10_000, "warn"), (10_001, "fail"), (-99_999, "fail")],
)
def test_the_clock_is_judged_either_way(skew_ms: int, verdict: str) -> None:
    """Behind is as bad as ahead; the remedy is named from the warning on."""
    check = clock(skew_ms, 1_500_000)
    assert (verdict, f"the venue's is {skew_ms:+} ms against this one, round trip 1.5 ms") == (
        check.verdict,
        check.found,
    )
    assert bool(check.remedy) is (verdict != "ok")


@pytest.mark.parametrize(
    ("limit", "check"),
    [
        (1024, Check("limits", Verdict.OK, "1024 files may be open")),
        (-1, Check("limits", Verdict.OK, "any number of files may be open")),
        (255, Check("limits", Verdict.WARN, "255 files may be open", "ulimit -n 1024")),
    ],
)
def test_few_open_files_are_a_warning(limit: int, check: Check) -> None:
    """A client with captures and several lines needs some."""
    assert check == open_files(limit)


def test_packages_that_are_missing_are_named() -> None:
    """What is needed is a failure, what is only quicker is a hint."""
    assert Verdict.OK is packages(["msgspec"], is_needed=True).verdict
    needed = packages(["msgspec", "no-such-package"], is_needed=True)
    assert (Verdict.FAIL, True) == (needed.verdict, "without no-such-package" in needed.found)
    fast = packages(["no-such-package"], is_needed=False)
    assert (Verdict.OK, "none; without no-such-package") == (fast.verdict, fast.found)
    assert "pip install 'nadows[fast]'" in fast.remedy


def test_a_proxy_is_named_without_its_password() -> None:
    """Sockets go through it, which is seldom meant."""
    check = proxy({"HTTPS_PROXY": "http://user:secret@proxy.example:3128"})
    assert (Verdict.WARN, True) == (check.verdict, "proxy.example" in check.found)
    assert "secret" not in str(check)
    assert Verdict.OK is proxy({"HTTPS_PROXY": ""}).verdict


def test_a_key_is_looked_at_and_not_opened(tmp_path: Path) -> None:
    """Where it is, who can read it, what it may sign."""
    file = tmp_path / "key"
    file.write_text("anything")
    file.chmod(0o600)
    typed = {"key_file": str(file), "owner": OWNER}
    assert Check(
        "key", Verdict.OK, f"key file {file}, signs for stream authentication, linked to {OWNER}"
    ) == key(resolve(Configuration(), {}, typed))
    file.chmod(0o644)
    assert Check(
        "key", Verdict.FAIL, f"key file {file} can be read by others (mode 644)", f"chmod 600 {file}"
    ) == key(resolve(Configuration(), {}, typed))
    set_ = resolve(Configuration(), {"NADO_PRIVATE_KEY": "***", "NADOWS_ORDERS": "on"}, {})
    assert (Verdict.WARN, "NADO_PRIVATE_KEY, signs for trading") == key(set_)[1:3]
    assert Verdict.OK is key(resolve(Configuration(), {}, {})).verdict


def test_a_venue_that_works(nadows: Run, url: str) -> None:
    """Every line is ok, each endpoint is named, compression and clock are told; code 0."""
    result = nadows("doctor", "--url", url)
    checks = lines_of(result)
    assert {"ok"} == {check["verdict"] for check in checks}, checks
    names = [check["name"] for check in checks]
    assert ["python", "packages", "fast extras", "limits", "configuration", "key", "proxy"] == names[:7]
    assert ["dns", "gateway", "serial gateway", "streams", "archive", "client", "clock"] == names[7:]
    assert "permessage-deflate" in next(check["found"] for check in checks if check["name"] == "streams")
    assert f"{len(checks)} ok, 0 warn, 0 fail" in result.stderr


def test_a_venue_that_is_not_there(nadows: Run) -> None:
    """Code 1, and every line says what to do."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = nadows(
            "doctor", "--url", f"http://127.0.0.1:{unused.getsockname()[1]}", env={"NADOWS_UR": "x"}
        )
    checks = {check["name"]: check for check in map(json.loads, result.stdout.splitlines())}
    assert 1 == result.returncode
    for name in ("gateway", "serial gateway", "streams", "archive", "client"):
        assert "fail" == checks[name]["verdict"]
        assert checks[name]["remedy"]
    assert ("warn", "unset NADOWS_UR") == (checks["environment"]["verdict"], checks["environment"]["remedy"])
    assert "Traceback" not in result.stderr


async def test_a_name_and_a_certificate_that_are_wrong(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody has, and a server that speaks no TLS."""
    port = url.rpartition(":")[2].partition("/")[0]
    secure = [check async for check in venue_checks(Network.from_url(f"https://127.0.0.1:{port}"))]
    assert Verdict.FAIL is next(check for check in secure if check.name == "tls").verdict

    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    unknown = [check async for check in venue_checks(Network.from_url("https://venue.invalid"))]
    assert {Verdict.FAIL} == {check.verdict for check in unknown}
    assert "tls" not in [check.name for check in unknown]


def test_the_report_on_a_terminal(url: str) -> None:
    """A line a check, with the verdict first and the remedy below."""
    session = on_terminal("doctor", "--url", url, env={"NADO_PRIVATE_KEY": "5b" * 32}, size=(120, 40))
    assert 0 == session.code
    assert "\nok   client         chain 763373, 6 products\n" in session.text
    assert "warn key            NADO_PRIVATE_KEY, signs for stream authentication\n" in session.text
    assert "                    -> every process of yours can read it" in session.text
    assert "5b5b" not in session.text


# -- symbols ---------------------------------------------------------------------------------------


def test_symbols_are_listed_with_increments_and_limits(nadows: Run, url: str) -> None:
    """Exact decimals as strings; all products, or those that are named."""
    listed = lines_of(nadows("symbols", "--url", url))
    assert ["KBTC", "BTC-PERP", "wETH", "ETH-PERP", "USDC", "SOL-PERP"] == [each["symbol"] for each in listed]
    assert {
        "type": "symbol",
        "symbol": "ETH-PERP",
        "product_id": 4,
        "kind": "perp",
        "price_increment": "0.1",
        "size_increment": "0.001",
        "min_notional": "100",
        "maker_fee": "0.0001",
        "taker_fee": "0.00035",
        "status": "live",
    } == lines_of(nadows("symbols", "eth", "--url", url))[0]
    assert "no product is called 'DOGE'" in refused(nadows("symbols", "DOGE", "--url", url), 2)


def test_symbols_on_a_terminal_are_a_table(url: str) -> None:
    """Titles, and numbers to the right."""
    session = on_terminal("symbols", "ETH", "1", "--url", url)
    assert [
        "symbol    id  type  price step  size step  min notional  maker   taker  status",
        "ETH-PERP   4  perp         0.1      0.001           100   1 bp  3.5 bp  live",
        "KBTC       1  spot           1    0.00005           100   1 bp  3.5 bp  live",
    ] == session.text.splitlines()[1:]
