"""`nadows auth`: keys, and what the venue makes of them. A canary key appears nowhere."""

from __future__ import annotations

import gzip
import json
import urllib.request
from pathlib import Path

import aiohttp
import pytest

import nadows as library
from nadows.metrics import Metrics
from nadows.metrics.endpoint import serve_metrics
from nadows.network import TESTNET
from nadows.signing import Signer, Subaccount, sign_link_signer

from .conftest import CLEAN, Run
from .test_commands import children_of, lines_of, refused, running, until
from .test_terminal import on_terminal

KEY = "c4" * 32
"""The canary."""
PASSWORD = "canary-password"
ADDRESS = Signer(KEY).checksum_address


def private(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has nothing yet."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}


def secrets_in(text: str) -> list[str]:
    """Which of the secrets a text shows, however they are written."""
    shown = text.lower()
    return [each for each in (KEY, PASSWORD, repr(bytes.fromhex(KEY))[2:-1]) if each.lower() in shown]


# -- keeping keys ----------------------------------------------------------------------------------


def test_a_key_is_made_listed_used_and_removed(
    nadows: Run, url: str, home: dict[str, str], tmp_path: Path
) -> None:
    """Its life from `auth new` to `auth remove`; nothing secret is ever shown."""
    password = private(tmp_path / "password", PASSWORD + "\n")

    [made] = lines_of(new := nadows("auth", "new", "trader", "--password-file", str(password), env=home))
    [listed] = lines_of(nadows("auth", "list", env=home))
    account = ("--account", "trader", "--password-file", str(password))
    [found] = lines_of(used := nadows("auth", *account, "--url", url, env=home))

    assert ("trader", "nadows", None) == (made["name"], made["kept_by"], made["problem"])
    assert made == listed
    assert "use it with --account trader" in new.stderr
    assert (made["address"], f"keystore {made['path']}") == (found["address"], found["key"])
    assert [] == secrets_in(new.stdout + new.stderr + used.stdout + used.stderr)
    assert "--yes removes it without asking" in refused(nadows("auth", "remove", "trader", env=home), 2)
    assert f"removed {made['path']}\n" == nadows("auth", "remove", "trader", "--yes", env=home).stderr
    assert [] == lines_of(nadows("auth", "list", env=home))


def test_a_key_is_imported_from_standard_input(nadows: Run, home: dict[str, str]) -> None:
    """Key and password one line each; the address is the key's."""
    arguments = ("auth", "import", "mine", "--key-file", "-", "--password-file", "-")
    [kept] = lines_of(result := nadows(*arguments, env=home, stdin=f"0x{KEY}\n{PASSWORD}\n"))
    assert ADDRESS == kept["address"]
    assert [] == secrets_in(result.stdout + result.stderr)
    assert "exists already" in refused(nadows(*arguments, env=home, stdin=f"{KEY}\n{PASSWORD}\n"), 2)


def test_a_key_is_imported_on_a_terminal(home: dict[str, str]) -> None:
    """It is asked for, and the password twice; nothing that is typed is shown."""
    session = on_terminal("auth", "import", "mine", env=home, typed=(KEY, PASSWORD, PASSWORD))
    assert 0 == session.code
    assert "Private key (not shown): " in session.text
    assert f"mine              {ADDRESS}  nadows" in session.text
    assert [] == secrets_in(session.text)
    differ = on_terminal("auth", "import", "other", env=home, typed=(KEY, PASSWORD, "else"))
    assert (2, True) == (differ.code, "the two passwords differ; nothing was kept" in differ.text)
    listed = on_terminal("auth", "list", env=home)
    assert listed.text.startswith(f"mine              {ADDRESS}  nadows")


def test_removing_is_asked_about_on_a_terminal(home: dict[str, str]) -> None:
    """No is the answer if there is none."""
    assert 0 == on_terminal("auth", "new", "x", env=home, typed=(PASSWORD, PASSWORD)).code
    kept = on_terminal("auth", "remove", "x", env=home, typed=("",))
    assert (2, True) == (kept.code, "x was not removed" in kept.text)
    assert 0 == on_terminal("auth", "remove", "x", env=home, typed=("y",)).code


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (f"{KEY}c4\n{PASSWORD}\n", "what was given is no key: a private key is 32 bytes of hex"),
        (f"{KEY}\n\n", "standard input is empty, where a secret should come from"),
        ("", "standard input is empty, where a secret should come from"),
    ],
)
def test_what_is_no_key_is_not_kept(nadows: Run, home: dict[str, str], stdin: str, message: str) -> None:
    """And not repeated."""
    arguments = ("auth", "import", "mine", "--key-file", "-", "--password-file", "-")
    told = refused(nadows(*arguments, env=home, stdin=stdin), 2)
    assert message in told
    assert [] == secrets_in(told)


def test_an_empty_password_is_refused(nadows: Run, home: dict[str, str], tmp_path: Path) -> None:
    """It would protect nothing."""
    empty = private(tmp_path / "password", "\n")
    message = refused(nadows("auth", "new", "x", "--password-file", str(empty), env=home), 2)
    assert "the password is empty, and would protect nothing" in message


def test_a_key_file_is_imported(nadows: Run, home: dict[str, str], tmp_path: Path) -> None:
    """With the file's permissions checked."""
    file = private(tmp_path / "key", KEY)
    arguments = ("auth", "import", "mine", "--key-file", str(file), "--password-file", "-")
    assert ADDRESS == lines_of(nadows(*arguments, env=home, stdin=PASSWORD))[0]["address"]
    file.chmod(0o644)
    assert "can be read by others" in refused(nadows(*arguments, env=home, stdin=PASSWORD), 2)


# -- what the venue says ---------------------------------------------------------------------------


def test_a_linked_signer_is_asked_about(nadows: Run, url: str) -> None:
    """It authenticates for its owner once it is linked, and is refused before."""
    owner, linked = Signer("0e" * 32), Signer(KEY)
    arguments = ("auth", "--url", url, "--owner", owner.address)
    environment = {"NADO_PRIVATE_KEY": KEY}
    assert "the venue refused" in refused(nadows(*arguments, env=environment), 3)

    sender = Subaccount.of(owner.address)
    link = sign_link_signer(owner, TESTNET.domain, sender, Subaccount.of(linked.address), 0)
    request = urllib.request.Request(f"{url}/execute", link.frame, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert "success" == json.load(answer)["status"]

    [found] = lines_of(nadows(*arguments, env=environment))
    assert (owner.checksum_address, linked.address, True) == (
        found["address"],
        found["signer"],
        found["linked"],
    )
    assert (sender.hex, False, linked.address) == (
        found["subaccount"],
        found["orders"],
        found["linked_signer"],
    )


def test_typed_data_is_for_other_wallets(nadows: Run) -> None:
    """No key comes near: the wallet's address is enough, and the chain is the network's."""
    result = nadows("auth", "--print-typed-data", "--owner", ADDRESS, "--network", "testnet")
    [data] = lines_of(result)
    assert ("StreamAuthentication", 763373) == (data["primaryType"], data["domain"]["chainId"])
    assert Subaccount.of(ADDRESS).hex == data["message"]["sender"]
    assert "whose authentication shall it be? Give --owner" in refused(
        nadows("auth", "--print-typed-data", "--network", "testnet"), 2
    )
    [by_key] = lines_of(
        nadows("auth", "--print-typed-data", "--network", "testnet", env={"NADO_PRIVATE_KEY": KEY})
    )
    assert data["message"]["sender"] == by_key["message"]["sender"]


# -- the canary ------------------------------------------------------------------------------------


def test_the_canary_is_not_in_output_logs_or_captures(nadows: Run, url: str, tmp_path: Path) -> None:
    """With everything logged, and every stream recorded."""
    capture = tmp_path / "all.jsonl.gz"
    result = nadows(
        *("tail", "all", "--record", str(capture), "--duration", "1s", "--url", url, "--log-level", "debug"),
        env={"NADO_PRIVATE_KEY": KEY},
    )
    assert lines_of(result)
    assert result.stderr.count("\n") > 10
    assert [] == secrets_in(result.stdout + result.stderr)
    recorded = gzip.decompress(capture.read_bytes()).decode()
    assert "authenticated" in recorded
    assert [] == secrets_in(recorded)


def test_the_canary_is_not_in_reports(nadows: Run, tmp_path: Path) -> None:
    """Of a bench that runs with a key in the environment."""
    out = tmp_path / "report"
    result = nadows(
        *("bench", "--rps", "50", "--duration", "1s", "--warmup", "0s", "--lenient", "--out", str(out)),
        env={"NADO_PRIVATE_KEY": KEY},
    )
    files = [path for path in out.rglob("*") if path.is_file()]
    assert files
    assert [] == secrets_in(result.stdout + result.stderr + "".join(path.read_text() for path in files))


async def test_the_canary_is_not_in_metrics(url: str) -> None:
    """Neither on the page for Prometheus nor in JSON."""
    metrics = Metrics()
    network = library.Network.from_url(url)
    async with (
        library.connect(network, Signer(KEY), metrics=metrics) as client,
        serve_metrics(metrics, client.stats) as page,
        aiohttp.ClientSession() as session,
    ):
        await client.ping()
        shown = ""
        for address in (page, f"{page}.json"):
            async with session.get(address) as response:
                shown += await response.text()
    assert "nadows_" in shown
    assert [] == secrets_in(shown)


def test_the_canary_is_not_in_the_list_of_processes() -> None:
    """No process has it among its arguments, and the venue not even in its environment."""
    with running("tail", env=CLEAN | {"NADO_PRIVATE_KEY": KEY}) as command:
        [venue] = until(lambda: children_of(command.pid))
        # Until it is the venue, and not yet the copy of its parent that a child begins as.
        until(lambda: b"serve" in Path(f"/proc/{venue}/cmdline").read_bytes())
        for pid, files in {command.pid: ["cmdline"], venue: ["cmdline", "environ"]}.items():
            for name in files:
                assert [] == secrets_in(Path(f"/proc/{pid}/{name}").read_text())


def test_no_option_takes_a_key(nadows: Run) -> None:
    """What is typed is seen by every user of the machine."""
    for command in ("auth", "tail", "book"):
        text = nadows(command, "--help").stdout
        assert "--private-key" not in text
        assert "--password " not in text
