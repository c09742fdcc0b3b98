"""Broken clients, each with one mistake that a real one has made or could make.

The campaign must notice every one of them: a campaign that cannot see a mistake proves nothing about its
absence. ``python -m tests.faults.mutants`` runs each until it is noticed and writes the table of
``docs/faults.md``.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from msgspec import structs

from nadows.account import Account, OrderEvent
from nadows.book import TRANSITIONS, Book, BookState
from nadows.desk import Desk, DeskEvent, OnReply
from nadows.journal.records import Watermark
from nadows.journal.scribe import Scribe
from nadows.messages import Fill, LateFill, OrderUpdate
from nadows.messages.archive import Matches
from nadows.polling import Polling
from nadows.recovery import Recovery, _late_fill
from nadows.session import Lost, Overdue, StreamSession
from nadows.signing import SignedOrder
from nadows.units import Nanos, StrInt
from tests.faults import world
from tests.faults.campaign import run
from tests.faults.wire import SECOND

__all__ = ["MUTANTS", "SEEDS", "Verdict", "hunt"]

SEEDS: Final = 200
"""Within so many seeds a mutant must be noticed."""
FOREVER: Final = 2**62

Mutant = Callable[[], AbstractContextManager[Any]]


def _timing(**changes: Any) -> AbstractContextManager[Any]:
    return patch.object(world, "TIMINGS", dataclasses.replace(world.TIMINGS, **changes))


def _life(**changes: Any) -> AbstractContextManager[Any]:
    return patch.object(world, "LIFE", dataclasses.replace(world.LIFE, **changes))


# -- the book ------------------------------------------------------------------------------------


@contextmanager
def snapshot_before_subscribe() -> Iterator[None]:
    """The snapshot is asked for at once, not after the subscription is acknowledged, and just joined."""
    with patch.object(Desk, "_has_depth", lambda self, product: True), patch.object(Book, "apply", _trusting):
        yield


def chain_unchecked() -> AbstractContextManager[Any]:
    """An update is applied without a look at the one before it."""
    return patch.object(Book, "apply", _trusting)


def _trusting(self: Book, update: Any) -> BookState:
    if self.state is BookState.SYNCING:
        self._keep(update)
    elif self.state is BookState.LIVE and update.max_timestamp > self.max_timestamp:
        self._apply_levels(update)
    return self.state


@contextmanager
def updates_not_kept() -> Iterator[None]:
    """What comes while the snapshot is awaited is thrown away, and not missed."""
    with patch.object(Book, "_keep", lambda self, update: None), old_snapshot_taken():
        yield


@contextmanager
def old_snapshot_taken() -> Iterator[None]:
    """A snapshot is taken, however old it is."""
    original = Book.load

    def load(self: Book, snapshot: Any, depth: int | None = None) -> None:
        received, self._last_received = self._last_received, None
        if self._pending:
            self._pending[0] = structs.replace(self._pending[0], last_max_timestamp=Nanos(0))
        try:
            original(self, snapshot, depth)
        finally:
            self._last_received = received

    with patch.object(Book, "load", load):
        yield


def no_audit() -> AbstractContextManager[Any]:
    """A live book is never compared with the venue's."""
    return _timing(audit_ns=FOREVER)


# -- fills ---------------------------------------------------------------------------------------


def no_backfill() -> AbstractContextManager[Any]:
    """Nobody asks the archive for fills."""

    def never(self: Recovery, now_ns: int) -> None:
        self._passes_due = [FOREVER]

    return patch.object(Recovery, "_begin_pass", never)


def backfill_only_after_reconnects() -> AbstractContextManager[Any]:
    """Fills that a healthy stream lost are not looked for."""
    return _timing(reconcile_ns=FOREVER)


def backfill_once() -> AbstractContextManager[Any]:
    """After a reconnect the archive is asked once, as if it did not trail; and never again."""
    return _timing(after_reconnect_ns=(0,), reconcile_ns=FOREVER)


@contextmanager
def watermark_from_stream() -> Iterator[None]:
    """The newest fill that was received counts as proof that there is nothing to find before it."""
    original = Recovery._begin_pass

    def begin(self: Recovery, now_ns: int) -> None:
        original(self, now_ns)
        if self._pass is not None and self._pass.floor is not None:
            self._pass.floor = max(self._pass.floor, self._account.watermark)

    with patch.object(Recovery, "_begin_pass", begin):
        yield


@contextmanager
def watermark_before_delivery() -> Iterator[None]:
    """What a page of the archive shows counts as confirmed before the walk has come to its end."""
    original = Recovery._page

    def page(self: Recovery, answer: Matches, now_ns: int) -> None:
        walk = self._pass
        original(self, answer, now_ns)
        if walk is not None and self._pass is walk:
            self.verified = max(self.verified or 0, walk.newest)
            self._floors.append((now_ns, self.verified))
            self._walked_ns = walk.began_ns

    with patch.object(Recovery, "_page", page):
        yield


@contextmanager
def pages_joined_blindly() -> Iterator[None]:
    """A page is joined to the one before it, even where an index is missing between them."""
    original = Recovery._page

    def page(self: Recovery, answer: Matches, now_ns: int) -> None:
        assert self._pass is not None
        self._pass.must_join = False
        original(self, answer, now_ns)

    with patch.object(Recovery, "_page", page):
        yield


@contextmanager
def floor_without_margin() -> Iterator[None]:
    """A walk ends where the last one began, as if the archive filed its entries in order and at once."""
    original = Recovery._begin_pass

    def begin(self: Recovery, now_ns: int) -> None:
        original(self, now_ns)
        if self._pass is not None and self._pass.floor is not None:
            self._pass.floor = self.verified

    with patch.object(Recovery, "_begin_pass", begin):
        yield


def first_page_only() -> AbstractContextManager[Any]:
    """The archive's answer is taken for all there is."""
    return patch.object(Recovery, "_goes_on", lambda self, walk, page, lowest: False)


def late_fills_kept_quiet() -> AbstractContextManager[Any]:
    """What was found in the archive corrects the account, and nobody is told."""

    def release(self: Recovery, fills: Any) -> None:
        for fill in sorted(fills, key=lambda each: each.index):
            self._held.pop(fill.key, None)
            if self._account.apply(fill) and not isinstance(fill, LateFill):
                self._tell(fill)

    return patch.object(Recovery, "_release", release)


def held_fills_forgotten() -> AbstractContextManager[Any]:
    """Fills that were held back are dropped when the line is lost again."""
    original = Recovery.lost

    def lost(self: Recovery) -> None:
        self._account._seen.update(self._held)
        self._held.clear()
        original(self)

    return patch.object(Recovery, "lost", lost)


@contextmanager
def dedupe_by_order() -> Iterator[None]:
    """Fills of one order are taken for one: the stream's `id` is the order's."""
    original = Account._fill

    def fill(self: Account, event: Fill) -> bool:
        if any(digest == event.order_digest for _, digest in self._seen):
            return False
        return original(self, event)

    with patch.object(Account, "_fill", fill):
        yield


def no_dedupe() -> AbstractContextManager[Any]:
    """Every fill that comes is delivered."""

    def apply(self: Desk, fill: Fill) -> bool:
        assert self.account is not None
        self.account.apply(fill)
        return True

    return patch.object(Desk, "_apply_fill", apply)


def late_price_is_limit() -> AbstractContextManager[Any]:
    """The price of a match is taken from the order, which only names its limit."""

    def late(match: Any, at_s: int, account: Account) -> LateFill:
        told = _late_fill(match, at_s, account)
        return LateFill(
            **{
                name: match.order.priceX18 if name == "price" else getattr(told, name)
                for name in told.__struct_fields__
            }
        )

    return patch("nadows.recovery._late_fill", late)


# -- orders --------------------------------------------------------------------------------------


def lost_answer_is_refusal() -> AbstractContextManager[Any]:
    """A network error is taken for a refusal."""

    def lost(self: Account, digest: str) -> None:
        self.orders[digest].on(OrderEvent.REFUSED)

    return patch.object(Account, "answer_lost", lost)


@contextmanager
def retry_resends_an_order() -> Iterator[None]:
    """An order whose answer was lost is sent once more."""
    place, unanswered, connected = Desk.place, Desk._unanswered, Desk.gateway_connected
    sent: dict[str, tuple[SignedOrder, OnReply]] = {}
    again: list[str] = []

    def place_and_remember(self: Desk, order: SignedOrder, *, on_reply: OnReply, **rest: Any) -> None:
        sent[order.digest] = (order, on_reply)
        place(self, order, on_reply=on_reply, **rest)

    def send(self: Desk) -> None:
        while again and self.gateway.is_up:
            order, on_reply = sent.pop(again.pop())
            self.execute(
                order.frame,
                request_type="execute_place_order",
                signature=order.signature,
                client_id=order.id,
                digests=(order.digest,),
                now_ns=self._now_ns,
                on_reply=on_reply,
            )

    def send_again(self: Desk, lost: Lost) -> None:
        digests = [digest for digest in self._waiting[lost.ticket].digests if digest in sent]
        if not digests or not lost.sent:
            unanswered(self, lost)
            return
        del self._waiting[lost.ticket]
        again.extend(digests)
        send(self)

    def connect_and_send(self: Desk, now_ns: int) -> list[DeskEvent]:
        events = connected(self, now_ns)
        send(self)
        return events

    with (
        patch.object(Desk, "place", place_and_remember),
        patch.object(Desk, "_unanswered", send_again),
        patch.object(Desk, "gateway_connected", connect_and_send),
    ):
        yield


def unknown_forever() -> AbstractContextManager[Any]:
    """Nobody asks what became of an order."""
    return patch.object(Recovery, "doubt", lambda self, digest, now_ns: None)


def silence_believed_at_once() -> AbstractContextManager[Any]:
    """What the archive does not show yet has not happened."""
    return _timing(settle_ns=0)


def gone_before_its_time() -> AbstractContextManager[Any]:
    """An order that the venue does not know yet will not come any more."""
    return _timing(takes_effect_ns=0, settle_ns=0)


@contextmanager
def cancelled_is_filled() -> Iterator[None]:
    """Nothing left means filled, also after a cancel."""
    original = Account._order_update

    def update(self: Account, event: OrderUpdate) -> bool:
        if event.reason == "cancelled" and event.digest in self.orders:
            return self.orders[event.digest].on(OrderEvent.FILLED_ALL)
        return original(self, event)

    with patch.object(Account, "_order_update", update):
        yield


def no_census() -> AbstractContextManager[Any]:
    """Balances and open orders are never compared with the venue's."""

    def never(self: Recovery, now_ns: int) -> None:
        self._census_due = [FOREVER]

    return patch.object(Recovery, "_begin_census", never)


def open_orders_not_compared() -> AbstractContextManager[Any]:
    """Balances are compared, open orders are not."""
    return patch.object(Recovery, "_ask_orders", lambda self, now_ns: None)


# -- lines ---------------------------------------------------------------------------------------


@contextmanager
def resubscribe_forgotten() -> Iterator[None]:
    """A new connection asks for everything but fills."""
    original = StreamSession._restore

    def restore(self: StreamSession, now_ns: int) -> None:
        kept = dict(self.streams)
        self.streams = {key: stream for key, stream in kept.items() if stream.type != "fill"}
        original(self, now_ns)
        self.streams = kept

    with patch.object(StreamSession, "_restore", restore):
        yield


@contextmanager
def auth_refusal_ignored() -> Iterator[None]:
    """The answer to the authentication is not looked at."""
    original = Desk.lines_to_cut

    def cuts(self: Desk) -> dict[str, str]:
        return {line: why for line, why in original(self).items() if "authentication" not in why}

    with patch.object(Desk, "lines_to_cut", cuts):
        yield


@contextmanager
def overdue_ignored() -> Iterator[None]:
    """A line on which an acknowledgement did not come is kept."""
    original = Desk._apply

    def apply(self: Desk, event: Any, now_ns: int) -> bool:
        return True if isinstance(event, Overdue) else original(self, event, now_ns)

    with patch.object(Desk, "_apply", apply):
        yield


@contextmanager
def overdue_query_ignored() -> Iterator[None]:
    """A gateway on which a query is not answered is kept."""
    original = Desk.lines_to_cut

    def cuts(self: Desk) -> dict[str, str]:
        return {line: why for line, why in original(self).items() if "query" not in why}

    with patch.object(Desk, "lines_to_cut", cuts):
        yield


def silence_unnoticed() -> AbstractContextManager[Any]:
    """A line that fell silent is waited for."""
    return _life(quiet_ns=FOREVER)


def impatient_probe() -> AbstractContextManager[Any]:
    """A line that is quiet is cut without being asked."""
    return _life(probe_ns=1)


def retry_without_pause() -> AbstractContextManager[Any]:
    """After a failure the next try follows at once, and the next, and the next."""
    return _life(base_ns=1, cap_ns=1)


def sluggish_retry() -> AbstractContextManager[Any]:
    """After a failure the next try waits for half a minute or so."""
    return _life(base_ns=60 * SECOND, cap_ns=60 * SECOND)


# -- polling -------------------------------------------------------------------------------------


def nobody_polls() -> AbstractContextManager[Any]:
    """A line that stays away is only waited for."""
    return patch.object(Polling, "lost", lambda self, line, now_ns: None)


def polling_never_stops() -> AbstractContextManager[Any]:
    """REST is asked on and on, also when the socket is back."""
    return patch.object(Polling, "back", lambda self, line: None)


def polled_book_called_live() -> AbstractContextManager[Any]:
    """A book that was asked for passes for one that follows the stream."""
    live = {pair: BookState.LIVE for pair, after in TRANSITIONS.items() if after is BookState.POLLED}
    return patch.dict(TRANSITIONS, live)


# -- the journal ---------------------------------------------------------------------------------


def journaled_watermark_first() -> AbstractContextManager[Any]:
    """The watermark is marked before the fills that it covers are written."""
    deliver = Scribe.deliver

    def hasty(self: Scribe, events: Sequence[DeskEvent]) -> None:
        floor = self._recovery.verified
        if floor is not None:
            self._journal.write([Watermark(index=StrInt(floor))], urgent=True)
        deliver(self, events)

    return patch.object(Scribe, "deliver", hasty)


def delivered_before_written() -> AbstractContextManager[Any]:
    """Fills are handed over first and written then."""

    def hasty(self: Scribe, events: Sequence[DeskEvent]) -> None:
        fills = [event for event in events if isinstance(event, Fill)]
        self._journal._unconfirmed.update({fill.key: self._journal._n + n for n, fill in enumerate(fills, 1)})
        self._hand_over(events)
        self._fills += fills
        self._write()

    return patch.object(Scribe, "deliver", hasty)


def sent_before_written() -> AbstractContextManager[Any]:
    """Orders leave first and are written a moment later."""
    return patch.object(Scribe, "before_sending", lambda self: None)


def journaled_fills_kept_quiet() -> AbstractContextManager[Any]:
    """What was written and perhaps not delivered is not told after a restart."""
    return patch.object(Scribe, "redeliver", lambda self: 0)


def orders_in_flight_forgotten() -> AbstractContextManager[Any]:
    """Orders that were open or in flight at a crash are believed to stand as they stood."""

    def resume(self: Recovery, floor: int | None, now_ns: int) -> None:
        if floor is not None:
            self.verified = self._began_at = floor
            self._floors.append((0, floor))

    return patch.object(Recovery, "resume", resume)


MUTANTS: Final[dict[str, Mutant]] = {
    mutant.__name__: mutant
    for mutant in (
        snapshot_before_subscribe,
        chain_unchecked,
        updates_not_kept,
        old_snapshot_taken,
        no_audit,
        no_backfill,
        backfill_only_after_reconnects,
        backfill_once,
        watermark_from_stream,
        watermark_before_delivery,
        pages_joined_blindly,
        floor_without_margin,
        first_page_only,
        late_fills_kept_quiet,
        held_fills_forgotten,
        dedupe_by_order,
        no_dedupe,
        late_price_is_limit,
        lost_answer_is_refusal,
        retry_resends_an_order,
        unknown_forever,
        silence_believed_at_once,
        gone_before_its_time,
        cancelled_is_filled,
        no_census,
        open_orders_not_compared,
        resubscribe_forgotten,
        auth_refusal_ignored,
        overdue_ignored,
        overdue_query_ignored,
        silence_unnoticed,
        impatient_probe,
        retry_without_pause,
        sluggish_retry,
        nobody_polls,
        polling_never_stops,
        polled_book_called_live,
        journaled_watermark_first,
        delivered_before_written,
        sent_before_written,
        journaled_fills_kept_quiet,
        orders_in_flight_forgotten,
    )
}


class Verdict(NamedTuple):
    """What became of a mutant."""

    name: str
    mistake: str
    seed: int | None
    """The first seed that noticed it."""
    problem: str


def hunt(name: str, seeds: int = SEEDS) -> Verdict:
    """Run a mutant until it is noticed."""
    mutant = MUTANTS[name]
    mistake = (mutant.__doc__ or "").strip()
    for seed in range(seeds):
        with mutant():
            try:
                problems = run(seed).problems
            except Exception as error:  # noqa: BLE001
                # A client that falls over is noticed as well.
                problems = (f"{type(error).__name__}: {error}",)
        if problems:
            return Verdict(name, mistake, seed, problems[0])
    return Verdict(name, mistake, None, "")


def table(verdicts: list[Verdict]) -> str:
    """Write the table."""
    rows = [
        f"| `{each.name}` | {each.mistake} | {'**alive**' if each.seed is None else each.seed} |"
        for each in verdicts
    ]
    return "\n".join(["| mutant | its mistake | noticed by seed |", "|---|---|---|", *rows])


BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"
PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"


def main() -> int:
    """Hunt all, or those named; 0 if every one was noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants")
    parser.add_argument("names", nargs="*", help="which; all by default")
    asked = parser.parse_args()
    names = asked.names or list(MUTANTS)
    verdicts = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for each in pool.map(hunt, names):
            verdicts.append(each)
            seed = "ALIVE" if each.seed is None else each.seed
            print(f"{each.name:32} {seed:>6}  {each.problem[:90]}", flush=True)
    if not asked.names:
        text = PAGE.read_text()
        head, rest = text.split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{table(verdicts)}\n{END}{rest.split(END)[1]}")
    return 1 if any(each.seed is None for each in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
