"""``nadows auth``: what the venue makes of a key, and keeping keys."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from nadows.cli.connecting import (
    STANDARD_INPUT,
    key_source,
    load_key,
    reach,
    read_password,
    read_secret,
    signer_or_new,
)
from nadows.cli.figures import ALERT, FAINT
from nadows.cli.given import Given, given_options
from nadows.cli.options import AsJson
from nadows.cli.output import Output
from nadows.cli.run import run
from nadows.client import Client, connect
from nadows.errors import UsageError
from nadows.keys import Secret, read_private, secret_key
from nadows.keystores import StoredKey, list_keystores, remove_keystore, save_keystore
from nadows.messages import LinkedSigner, LinkedSignerQuery
from nadows.network import AUTHENTICATE_WINDOW_MS
from nadows.signing import TRADING, Signer, Subaccount, stream_authentication_data

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MS: Final = 1_000_000
_PINGS: Final = 3
_NOBODY: Final = "0x" + "00" * 20

Name = Annotated[str, typer.Argument(metavar="NAME", help="What to call it: for --account, and in profiles.")]
PasswordFile = Annotated[
    str | None,
    typer.Option(
        "--password-file", metavar="FILE", help="File with its password; - is standard input. Else asked for."
    ),
]


@app.callback(invoke_without_command=True)
@given_options(key=True)
def auth(
    context: typer.Context,
    print_typed_data: Annotated[
        bool,
        typer.Option(
            "--print-typed-data",
            help="Print what another wallet may sign (EIP-712 JSON), and end; needs --owner or a key.",
        ),
    ] = False,
    *,
    given: Given,
) -> None:
    """Authenticate, and say what the venue makes of the key.

    Load the key and authenticate on the stream; print address, subaccount, what the key may sign, clock skew
    and round trip. The subcommands keep keys in keystores.

    The key comes from a keystore, a file, standard input or the environment (NADOWS_PRIVATE_KEY,
    NADO_PRIVATE_KEY); it is never an argument, never printed and never sent.

    Example: nadows auth --network testnet --account trader
    """
    if context.invoked_subcommand is not None:
        return
    if print_typed_data:
        run(_print_typed_data(given, _wallet(given)))
    else:
        run(_auth(given, load_key(given)))


@app.command()
def new(name: Name, password_file: PasswordFile = None, as_json: AsJson = False) -> None:
    """Make a new random key, and keep it in a keystore.

    Example: nadows auth new trader
    """
    _save(name, secret_key(), password_file, Output(as_json=as_json))


@app.command("import")
def import_key(
    name: Name,
    key_file: Annotated[
        str | None,
        typer.Option(
            "--key-file", metavar="FILE", help="File with the key; - is standard input. Else asked for."
        ),
    ] = None,
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep a key that there is in a keystore.

    Example: nadows auth import trader
    """
    if key_file in (None, STANDARD_INPUT):
        key = read_secret("Private key (not shown): ")
    else:
        assert key_file is not None
        key = read_private(Path(key_file).expanduser(), "key file")
    try:
        Signer(key.reveal())
    except UsageError as error:
        raise UsageError(f"what was given is no key: {error}") from None
    _save(name, Secret(key.reveal().strip()), password_file, Output(as_json=as_json))


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keystores of nadows, and Foundry's.

    Example: nadows auth list
    """
    output = Output(as_json=as_json)
    stored = list_keystores()
    for key in stored:
        _print_stored(key, output)
    if not stored:
        output.say("there is no keystore; make one with `nadows auth new NAME`")
    output.flush()


@app.command()
def remove(
    name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to.")] = False
) -> None:
    """Remove a keystore of nadows, with the key in it, for ever.

    Example: nadows auth remove trader
    """
    if not yes and sys.stdin is not None and sys.stdin.isatty():
        yes = typer.confirm(f"Remove the keystore {name} and its key for ever?", err=True)
    if not yes:
        raise UsageError(f"{name} was not removed; --yes removes it without asking")
    typer.echo(f"removed {remove_keystore(name)}", err=True)


async def _auth(given: Given, signer: Signer | None) -> None:
    async with reach(given) as network:
        source = str(key_source(given.settings)) if signer is not None else "throw-away"
        signer = signer_or_new(signer, network, given.output)
        subaccount = given.settings.subaccount
        # Subscribing to one's own orders takes the authentication that this is about.
        async with connect(network, signer, subaccount=subaccount) as client:
            assert client.subaccount is not None
            linked = await _linked(client, client.subaccount)
            _print(
                {
                    "type": "auth",
                    "network": network.name,
                    "chain_id": network.chain_id,
                    "address": signer.checksum_address,
                    "subaccount": client.subaccount.hex,
                    "subaccount_name": subaccount,
                    "key": source,
                    "signer": signer.key_address,
                    "linked": signer.is_linked,
                    "linked_signer": linked,
                    "authenticated": True,
                    "orders": given.settings.orders,
                }
                | await _clock(client),
                given.output,
            )


async def _linked(client: Client, subaccount: Subaccount) -> str | None:
    """Ask which other key may sign for the subaccount; ``None`` for none."""
    answer: LinkedSigner = await client.query(LinkedSignerQuery(subaccount.hex))
    address = answer.linked_signer[:42].lower()
    return None if address == _NOBODY else address


async def _clock(client: Client) -> dict[str, Any]:
    # The quickest of a few: its two ways are the most alike, so its clock reading is the best.
    measured = []
    for _ in range(_PINGS):
        pong = await client.ping()
        measured.append((pong.round_trip_ns, pong.server_time_ms * _MS, time.time_ns()))
    round_trip_ns, venue_ns, here_ns = min(measured)
    return {
        "round_trip_ms": round(round_trip_ns / _MS, 3),
        "clock_skew_ms": round((venue_ns + round_trip_ns // 2 - here_ns) / _MS),
    }


def _wallet(given: Given) -> str:
    """Say whose wallet it is, of which the key need not be here."""
    if given.settings.owner is not None:
        return given.settings.owner
    signer = load_key(given)
    if signer is None:
        raise UsageError("whose authentication shall it be? Give --owner with the wallet's address")
    return signer.address


async def _print_typed_data(given: Given, wallet: str) -> None:
    sender = Subaccount.of(wallet, given.settings.subaccount)
    async with reach(given) as network:
        expiration_ms = time.time_ns() // _MS + AUTHENTICATE_WINDOW_MS
        given.output.json(stream_authentication_data(network.domain, sender, expiration_ms))
        given.output.flush()


def _save(name: str, key: Secret, password_file: str | None, output: Output) -> None:
    password = read_password(password_file, "New password of the keystore: ")
    if not password.reveal():
        raise UsageError("the password is empty, and would protect nothing")
    if password_file is None and read_password(None, "The same again: ").reveal() != password.reveal():
        raise UsageError("the two passwords differ; nothing was kept")
    stored = save_keystore(name, key, password)
    _print_stored(stored, output)
    output.flush()
    output.say(f"kept in {stored.path}; use it with --account {name}")


def _print_stored(key: StoredKey, output: Output) -> None:
    if output.as_json:
        output.json(
            {
                "type": "keystore",
                "name": key.name,
                "address": key.address,
                "kept_by": key.kept_by,
                "path": str(key.path),
                "problem": key.problem,
            }
        )
        return
    text = Text(f"{key.name:16}  {key.address or '(address not told)':42}  ").append(key.kept_by, style=FAINT)
    output.text(text.append(f"  {key.problem}", style=ALERT) if key.problem else text)


def _print(found: dict[str, Any], output: Output) -> None:
    if output.as_json:
        output.json(found)
        output.flush()
        return
    rows = {
        "network": f"{found['network']}, chain {found['chain_id']}",
        "address": found["address"],
        "subaccount": f"{found['subaccount']} ({found['subaccount_name']})",
        "key": found["key"],
        "signer": _signer_text(found),
        "authenticated": "yes: own orders, fills and positions can be watched",
        "orders": f"the profile lets this key sign them: {', '.join(sorted(TRADING.types))}"
        if found["orders"]
        else "not signed: the profile allows stream authentication alone (orders = true allows them)",
        "round trip": f"{found['round_trip_ms']} ms",
        "clock skew": f"{found['clock_skew_ms']:+} ms, the venue's clock against this one",
    }
    for title, value in rows.items():
        output.text(Text(f"{title:14}", style=FAINT).append(value, style="default"))
    output.flush()


def _signer_text(found: dict[str, Any]) -> str:
    if found["linked"]:
        return f"{found['signer']}, linked: the wallet can take it back at any time"
    other = f"; linked signer {found['linked_signer']}" if found["linked_signer"] else "; no linked signer"
    return f"the wallet's own key, which can withdraw{other}"
