"""What `nadows tail` does: follow, choose, print and record."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nadows.capture import Header, Recorder
from nadows.cli.connecting import load_key, reach, signer_or_new
from nadows.cli.event_lines import event_line
from nadows.cli.given import Given
from nadows.cli.notices import notice_json
from nadows.cli.run import run
from nadows.cli.stream_names import check_names, needs_key, parse_streams
from nadows.cli.symbol_cache import remember
from nadows.cli.where import Where, parse_where
from nadows.client import Client, connect
from nadows.desk import DeskEvent
from nadows.inbox import Overflow
from nadows.messages import EVENT_TYPES, Stream, UnknownEvent, encode
from nadows.network import Network
from nadows.signing import Signer, Subaccount

__all__ = ["TailOptions", "Tailing"]


@dataclass(frozen=True)
class TailOptions:
    """What is wanted."""

    names: Sequence[str]
    """Streams, as typed."""
    products: Sequence[str]
    """Only these, as typed; all, if there are none."""
    where: Where | None
    record: Path | None
    force: bool
    limit: int | None
    seconds: float | None

    @classmethod
    def read(cls, names: Sequence[str], *, where: str | None, **others: Any) -> TailOptions:
        """Read what is typed, and refuse what no venue could make right.

        Raises:
            UsageError: For a stream that is none, or conditions that are wrong.
        """
        check_names(names)
        return cls(names=names, where=None if where is None else parse_where(where), **others)


class Tailing:
    """One run of the command."""

    def __init__(self, options: TailOptions, given: Given) -> None:
        self._options = options
        self._given = given
        self._output = given.output
        self._only: frozenset[int] = frozenset()

    def start(self) -> None:
        """Load the key, if there is one, and follow until it is enough."""
        signer = load_key(self._given)
        endless = self._options.limit is None and self._options.seconds is None
        run(self._run(signer), until_stopped=endless)

    async def _run(self, signer: Signer | None) -> None:
        wants_key = needs_key(self._options.names)
        async with reach(self._given) as network:
            if wants_key:
                signer = signer_or_new(signer, network, self._output)
            seed, name = secrets.randbits(48), self._given.settings.subaccount
            with self._recording(network, signer, seed) as recorder:
                async with connect(
                    network, signer, subaccount=name, private=wants_key, seed=seed, tap=recorder
                ) as client:
                    remember(client.products)
                    try:
                        await self._follow(client, recorder)
                    finally:
                        if recorder is not None:
                            # Before the client takes its leave, so that the state is that of a live one.
                            recorder.finish(client.desk.state_hash())

    @contextmanager
    def _recording(self, network: Network, signer: Signer | None, seed: int) -> Iterator[Recorder | None]:
        if self._options.record is None:
            yield None
            return
        own = Subaccount.of(signer.address, self._given.settings.subaccount) if signer is not None else None
        header = Header(
            network=network.name,
            chain_id=network.chain_id,
            endpoint=network.endpoint,
            started_ns=time.time_ns(),
            seed=seed,
            subaccount=own.hex if own is not None else None,
            authenticated=signer is not None,
        )
        recorder = Recorder(self._options.record, header, overwrite=self._options.force)
        try:
            yield recorder
        finally:
            recorder.close()
        self._output.say(f"{recorder.frames} frames recorded in {self._options.record}")

    def _streams(self, client: Client) -> list[Stream]:
        """Find the streams that are wanted, without those of products that are not."""
        own = client.subaccount.hex if client.subaccount is not None else None
        self._only = frozenset(client.products.find(name).product_id for name in self._options.products)
        streams = parse_streams(self._options.names, client.products, own)
        return [
            each
            for each in streams
            if not self._only or each.product_id is None or each.product_id in self._only
        ]

    async def _follow(self, client: Client, recorder: Recorder | None) -> None:
        streams = self._streams(client)
        printed = 0
        # A pipe that is read too slowly is told so; it gets every event or none.
        subscription = client.events(*streams, overflow=Overflow.RAISE)
        try:
            async with asyncio.timeout(self._options.seconds):
                await client.subscribe(*streams)
                async for event in subscription:
                    if recorder is not None:
                        recorder.check()
                    if self._write(event, client):
                        printed += 1
                    if printed == self._options.limit:
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
        if is_venues and not self._is_wanted(event, client):
            return False
        if not self._output.as_json:
            line = event_line(event, client.products, time.time_ns())
            if line is not None:
                self._output.text(line)
        elif is_venues:
            self._output.raw(_wire_json(event, client))
        else:
            notice = notice_json(event, client.products)
            if notice is not None:
                self._output.json(notice)
        return is_venues

    def _is_wanted(self, event: Any, client: Client) -> bool:
        if self._only:
            product_id = getattr(event, "product_id", None)
            concerned = getattr(event, "product_ids", ()) if product_id is None else (product_id,)
            if self._only.isdisjoint(concerned):
                return False
        return self._options.where is None or self._options.where(event, client.products)


def _wire_json(event: Any, client: Client) -> bytes:
    """Write an event as the venue did, digit for digit, and add the product's symbol."""
    text = event.raw if isinstance(event, UnknownEvent) else encode(event)
    product_id = getattr(event, "product_id", None)
    if product_id is None:
        return bytes(text)
    return bytes(text[:-1]) + b',"symbol":' + encode(client.products.symbol(product_id)) + b"}"
