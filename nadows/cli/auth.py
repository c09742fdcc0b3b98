"""``nadows auth``: what the venue makes of a key."""

from __future__ import annotations

import time
from typing import Any, Final

import typer
from rich.text import Text

from nadows.cli.connecting import Keys, reach, signer_or_new
from nadows.cli.figures import FAINT
from nadows.cli.given import Given, given_options
from nadows.cli.output import Output
from nadows.cli.run import run
from nadows.client import connect
from nadows.signing import Signer

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MS: Final = 1_000_000
_PINGS: Final = 3


@app.command()
@given_options(key=True)
def auth(given: Given) -> None:
    """Authenticate, and say what the venue makes of the key.

    Load the key and authenticate on the stream; print address, subaccount, clock skew and round trip.

    The key comes from the environment (NADOWS_PRIVATE_KEY, NADO_PRIVATE_KEY), a file or a keystore; it is
    never an argument, never printed and never sent.
    """
    run(_auth(given, Keys.of(given.settings).load()))


async def _auth(given: Given, signer: Signer | None) -> None:
    async with reach(given) as network:
        signer = signer_or_new(signer, network, given.output)
        subaccount = given.settings.subaccount
        # Subscribing to one's own orders takes the authentication that this is about.
        async with connect(network, signer, subaccount=subaccount) as client:
            assert client.subaccount is not None
            # The quickest of a few: its two ways are the most alike, so its clock reading is the best.
            measured = []
            for _ in range(_PINGS):
                pong = await client.ping()
                measured.append((pong.round_trip_ns, pong.server_time_ms * _MS, time.time_ns()))
            round_trip_ns, venue_ns, here_ns = min(measured)
            _print(
                {
                    "type": "auth",
                    "network": network.name,
                    "chain_id": network.chain_id,
                    "address": signer.checksum_address,
                    "subaccount": client.subaccount.hex,
                    "subaccount_name": subaccount,
                    "authenticated": True,
                    "round_trip_ms": round(round_trip_ns / _MS, 3),
                    "clock_skew_ms": round((venue_ns + round_trip_ns // 2 - here_ns) / _MS),
                },
                given.output,
            )


def _print(found: dict[str, Any], output: Output) -> None:
    if output.as_json:
        output.json(found)
    else:
        rows = {
            "network": f"{found['network']}, chain {found['chain_id']}",
            "address": found["address"],
            "subaccount": f"{found['subaccount']} ({found['subaccount_name']})",
            "authenticated": "yes",
            "round trip": f"{found['round_trip_ms']} ms",
            "clock skew": f"{found['clock_skew_ms']:+} ms, the venue's clock against this one",
        }
        for title, value in rows.items():
            output.text(Text(f"{title:14}", style=FAINT).append(value, style="default"))
    output.flush()
