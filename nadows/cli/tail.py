"""``nadows tail``: events as they come."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from nadows.capture import Header, Recorder
from nadows.cli.connecting import load_key, reach, signer_or_new
from nadows.cli.event_lines import event_line
from nadows.cli.given import Given, given_options
from nadows.cli.notices import notice_json
from nadows.cli.options import parse_duration
from nadows.cli.run import run
from nadows.cli.stream_names import check_names, needs_key, parse_streams
from nadows.client import Client, connect
from nadows.desk import DeskEvent
from nadows.messages import EVENT_TYPES, UnknownEvent, encode
from nadows.network import Network
from nadows.signing import Signer, Subaccount

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SECOND_NS: Final = 1_000_000_000


@app.command()
@given_options(key=True)
def tail(
    streams: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STREAM",
            help="book_depth:ETH, trade:2, latest_candlestick:ETH:60, fill, all ...; "
            "without any: trades and best bid/offer of all products.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", "-o", help="Write a capture, for `nadows replay`; .gz compresses."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file of --record if it exists.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="End after so many events.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", help="End after this time: 10s, 500ms, 2m.")
    ] = None,
    *,
    given: Given,
) -> None:
    """Print events as they come, and record them.

    Print one line an event: for people on a terminal; elsewhere the venue's JSON with the symbol added.

    Lost and restored connections, and books that go out of and into service, are lines too.
    """
    check_names(streams or [])
    command = _Tail(
        names=streams or [],
        record=record,
        force=force,
        limit=limit,
        seconds=None if duration is None else parse_duration(duration),
        signer=load_key(given),
        given=given,
    )
    run(command.run(), until_stopped=limit is None and duration is None)


class _Tail:
    """One run of the command."""

    def __init__(
        self,
        *,
        names: list[str],
        record: Path | None,
        force: bool,
        limit: int | None,
        seconds: float | None,
        signer: Signer | None,
        given: Given,
    ) -> None:
        self._names = names
        self._record = record
        self._force = force
        self._limit = limit
        self._seconds = seconds
        self._subaccount = given.settings.subaccount
        self._signer = signer
        self._given = given
        self._output = given.output

    async def run(self) -> None:
        """Connect, subscribe, and print until it is enough."""
        signer, wants_key = self._signer, needs_key(self._names)
        async with reach(self._given) as network:
            if wants_key:
                signer = signer_or_new(signer, network, self._output)
            seed = secrets.randbits(48)
            with self._recording(network, signer, seed) as recorder:
                async with connect(
                    network, signer, subaccount=self._subaccount, private=wants_key, seed=seed, tap=recorder
                ) as client:
                    try:
                        await self._print(client, recorder)
                    finally:
                        if recorder is not None:
                            # Before the client takes its leave, so that the state is that of a live one.
                            recorder.finish(client.desk.state_hash())

    @contextmanager
    def _recording(self, network: Network, signer: Signer | None, seed: int) -> Iterator[Recorder | None]:
        if self._record is None:
            yield None
            return
        own = Subaccount.of(signer.address, self._subaccount) if signer is not None else None
        header = Header(
            network=network.name,
            chain_id=network.chain_id,
            endpoint=network.endpoint,
            started_ns=time.time_ns(),
            seed=seed,
            subaccount=own.hex if own is not None else None,
            authenticated=signer is not None,
        )
        recorder = Recorder(self._record, header, overwrite=self._force)
        try:
            yield recorder
        finally:
            recorder.close()
        self._output.say(f"{recorder.frames} frames recorded in {self._record}")

    async def _print(self, client: Client, recorder: Recorder | None) -> None:
        own = client.subaccount.hex if client.subaccount is not None else None
        streams = parse_streams(self._names, client.products, own)
        printed = 0
        subscription = client.events(*streams)
        try:
            async with asyncio.timeout(self._seconds):
                await client.subscribe(*streams)
                async for event in subscription:
                    if recorder is not None:
                        recorder.check()
                    if self._write(event, client):
                        printed += 1
                    if printed == self._limit:
                        break
                    if not len(subscription):
                        self._output.flush()
        except TimeoutError:
            # The duration is over: that was the order.
            pass
        self._output.flush()

    def _write(self, event: DeskEvent, client: Client) -> bool:
        """Print an event, if it is one to print; return whether it counts towards the limit."""
        is_venues = isinstance(event, EVENT_TYPES)
        if not self._output.as_json:
            line = event_line(event, client.products)
            if line is not None:
                self._output.text(line)
        elif is_venues:
            self._output.raw(_wire_json(event, client))
        else:
            notice = notice_json(event, client.products)
            if notice is not None:
                self._output.json(notice)
        return is_venues


def _wire_json(event: Any, client: Client) -> bytes:
    """Write an event as the venue did, digit for digit, and add the product's symbol."""
    text = event.raw if isinstance(event, UnknownEvent) else encode(event)
    product_id = getattr(event, "product_id", None)
    if product_id is None:
        return bytes(text)
    return bytes(text[:-1]) + b',"symbol":' + encode(client.products.symbol(product_id)) + b"}"
