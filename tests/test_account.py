"""Own orders, fills and positions, whatever the order in which news arrives."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from nadows.account import FINAL, TRANSITIONS, Account, OrderEvent, OrderStatus, TrackedOrder
from nadows.errors import UsageError
from nadows.messages import Fill, OrderObject, OrderUpdate, PositionChange
from nadows.units import X18, Nanos, StrInt

E18 = 10**18
OWN = "0x" + "1a" * 20 + "64656661756c740000000000"
OTHER = "0x" + "5a" * 20 + "64656661756c740000000000"
DIGEST = "0x" + "d1" * 32


def fill(qty: int, idx: int = 7, *, remaining: int = 0, price: int = 100, fee: int = 1, **other: Any) -> Fill:
    """Quantities and prices in whole units."""
    fields: dict[str, Any] = {
        "timestamp": Nanos(1_000 + idx),
        "product_id": 4,
        "subaccount": OWN,
        "order_digest": DIGEST,
        "appendix": StrInt(1),
        "filled_qty": X18(qty * E18),
        "remaining_qty": X18(remaining * E18),
        "original_qty": X18((qty + remaining) * E18),
        "price": X18(price * E18),
        "is_taker": False,
        "is_bid": True,
        "fee": X18(fee * E18),
        "submission_idx": idx,
    }
    return Fill(**(fields | other))


def told(amount: int, reason: str, *, at: int = 1_000, digest: str = DIGEST) -> OrderUpdate:
    return OrderUpdate(
        timestamp=Nanos(at), product_id=4, digest=digest, amount=X18(amount * E18), reason=reason
    )


def moved(
    amount: int, v_quote: int, *, at: int = 1_000, subaccount: str = OWN, isolated: bool = False
) -> PositionChange:
    return PositionChange(
        timestamp=Nanos(at),
        product_id=4,
        subaccount=subaccount,
        isolated=isolated,
        amount=X18(amount * E18),
        v_quote_amount=X18(v_quote * E18),
        reason="match_orders",
    )


def account_with_order(qty: int = 10) -> tuple[Account, TrackedOrder]:
    account = Account(OWN)
    order = account.sent(DIGEST, product_id=4, price=100 * E18, amount=qty * E18, client_id=5, now_ns=1)
    return account, order


def test_sent_order_is_known_before_any_news() -> None:
    """An order is PENDING_NEW with everything open the moment its bytes leave."""
    account, order = account_with_order(-10)

    assert (OrderStatus.PENDING_NEW, False, 10 * E18, 0, 0) == (
        order.status,
        order.is_buy,
        order.leaves_qty,
        order.cum_qty,
        order.avg_px,
    )
    assert [order] == list(account.open_orders())


def test_sending_the_same_order_twice_is_refused() -> None:
    """Equal digests are one order at the venue."""
    account, _ = account_with_order()

    with pytest.raises(UsageError, match="new nonce"):
        account.sent(DIGEST, product_id=4, price=1, amount=1)


def test_accepted_then_filled_in_parts() -> None:
    """Cumulative quantity, what is left, the average price and the fees follow from the fills."""
    account, order = account_with_order()
    account.accepted(DIGEST)
    assert OrderStatus.NEW is order.status

    assert account.apply(fill(4, 7, price=100, fee=1))
    assert (OrderStatus.PARTIALLY_FILLED, 4 * E18, 6 * E18) == (order.status, order.cum_qty, order.leaves_qty)

    assert account.apply(fill(6, 8, price=105, fee=2))
    assert (OrderStatus.FILLED, 10 * E18, 0, 103 * E18, 3 * E18) == (
        order.status,
        order.cum_qty,
        order.leaves_qty,
        order.avg_px,
        order.fees,
    )
    assert 8 == account.watermark
    assert [] == list(account.open_orders())


def test_fill_that_overtakes_the_answer() -> None:
    """The answer to a placement may come after its fill; the order does not go back to NEW."""
    account, order = account_with_order()
    account.apply(fill(10))
    account.accepted(DIGEST)

    assert OrderStatus.FILLED is order.status


def test_fills_are_taken_once() -> None:
    """A fill is its submission_idx and digest; received again it changes nothing and is counted."""
    account, order = account_with_order()
    assert account.apply(fill(4, 7))
    assert not account.apply(fill(4, 7, submission_idx="7"))
    assert account.apply(fill(4, 7, order_digest="0x" + "d2" * 32))

    assert (4 * E18, 1) == (order.cum_qty, account.duplicate_fills)


def test_two_sides_of_a_match_with_oneself_are_two_fills() -> None:
    """Both orders of one match carry the same submission_idx."""
    account = Account(OWN)
    account.apply(fill(1, 7))
    account.apply(fill(1, 7, order_digest="0x" + "d2" * 32, is_bid=False))

    assert [True, False] == [order.is_buy for order in account.orders.values()]


def test_negative_quantities_of_sells_are_read_as_absolute() -> None:
    """The sign of a sell's quantities is undocumented; either is the same fill."""
    account, order = account_with_order(-10)
    account.apply(fill(-4, is_bid=False, remaining=-6))

    assert (4 * E18, 6 * E18) == (order.cum_qty, order.leaves_qty)


@pytest.mark.parametrize(
    ("updates", "status", "cum"),
    [
        pytest.param([(10, "placed")], OrderStatus.NEW, 0, id="rests"),
        pytest.param(
            [(9, "filled"), (8, "filled"), (8, "placed")],
            OrderStatus.PARTIALLY_FILLED,
            2,
            id="crosses, then rests",
        ),
        pytest.param([(9, "filled"), (0, "cancelled")], OrderStatus.CANCELED, 1, id="IOC in part"),
        pytest.param([(9, "filled"), (0, "filled")], OrderStatus.FILLED, 10, id="IOC in full"),
        pytest.param([(0, "cancelled")], OrderStatus.CANCELED, 0, id="cancelled"),
        pytest.param([(-4, "filled")], OrderStatus.PARTIALLY_FILLED, 6, id="negative remaining"),
    ],
)
def test_order_updates(updates: list[tuple[int, str]], status: OrderStatus, cum: int) -> None:
    """The documented sequences of protocol.md 2.5 end in the right status without any fill event."""
    account, order = account_with_order()
    for amount, reason in updates:
        assert account.apply(told(amount, reason))

    assert (status, cum * E18) == (order.status, order.cum_qty)


def test_what_was_filled_before_a_cancel_is_not_forgotten() -> None:
    """(0, cancelled) says nothing about fills; those already seen count, and a late one still adds."""
    account, order = account_with_order()
    account.apply(told(0, "cancelled"))
    account.apply(fill(3, 7))

    assert (OrderStatus.CANCELED, 3 * E18, 0) == (order.status, order.cum_qty, order.leaves_qty)
    assert not account.apply(told(7, "filled"))


@pytest.mark.parametrize("answer_first", [True, False])
def test_ioc_that_met_nothing(answer_first: bool) -> None:
    """The failure answer and the (0, cancelled) event come in either order; the outcome is the same."""
    account, order = account_with_order()
    if answer_first:
        account.refused(DIGEST, "does not cross")
    account.apply(told(0, "cancelled"))
    if not answer_first:
        account.refused(DIGEST, "does not cross")

    assert (OrderStatus.REJECTED, "does not cross") == (order.status, order.reason)


def test_lost_answer_is_unknown_until_settled() -> None:
    """Neither accepted nor refused: an event settles it, and a late refusal of another order does not."""
    account, order = account_with_order()
    account.answer_lost(DIGEST)
    assert OrderStatus.UNKNOWN is order.status
    assert [order] == list(account.open_orders())

    account.apply(told(10, "placed"))
    assert OrderStatus.NEW is order.status
    account.refused(DIGEST, "late")
    assert (OrderStatus.NEW, "") == (order.status, order.reason)


def test_open_order_found_by_query() -> None:
    """A query settles what is unknown, and introduces orders of other sessions in full."""
    account, order = account_with_order()
    account.answer_lost(DIGEST)
    found = OrderObject(
        product_id=4,
        sender=OWN,
        price_x18=X18(101 * E18),
        amount=X18(-10 * E18),
        expiration=StrInt(1),
        order_type="default",
        nonce=StrInt(1),
        appendix=StrInt(1),
        unfilled_amount=X18(-6 * E18),
        digest=DIGEST,
        placed_at=1,
    )
    assert order is account.reconcile_order(found)
    assert (OrderStatus.PARTIALLY_FILLED, 4 * E18, 101 * E18) == (order.status, order.cum_qty, order.price)

    stranger = Account(OWN).reconcile_order(found)
    assert (False, 10 * E18, 6 * E18) == (stranger.is_buy, stranger.qty, stranger.leaves_qty)


def test_orders_of_other_sessions() -> None:
    """An update about an unknown order makes it known; its fill then says side and size."""
    account = Account(OWN)
    account.apply(told(6, "filled"))
    order = account.orders[DIGEST]
    assert (OrderStatus.NEW, 0) == (order.status, order.qty)

    account.apply(fill(4, remaining=6))
    assert (OrderStatus.PARTIALLY_FILLED, 10 * E18, 6 * E18) == (order.status, order.qty, order.leaves_qty)

    account.apply(told(0, "filled", digest="0x" + "d3" * 32))
    assert OrderStatus.FILLED is account.orders["0x" + "d3" * 32].status


def test_events_of_other_subaccounts_are_refused() -> None:
    """Any subaccount's fills are public; they are not ours."""
    account, order = account_with_order()

    assert not account.apply(fill(4, subaccount=OTHER))
    assert not account.apply(moved(1, 1, subaccount=OTHER))
    assert (0, {}) == (order.cum_qty, account.positions)


def test_positions_keep_the_newest() -> None:
    """A position change is the new balance.

    One older than what is known is dropped, isolated ones are apart.
    """
    account = Account(OWN)
    assert account.apply(moved(4, -400, at=10))
    assert not account.apply(moved(1, -100, at=9))
    assert account.apply(moved(4, -400, at=10))
    assert account.apply(moved(-2, 220, at=11, isolated=True))

    assert (4 * E18, -2 * E18, 0) == (
        account.position(4),
        account.position(4, isolated=True),
        account.position(2),
    )
    assert [100 * E18, 110 * E18] == [position.entry_price for position in account.positions.values()]
    account.apply(moved(0, 0, at=12))
    assert 0 == account.positions[4, False].entry_price


def test_a_cancel_that_fails_leaves_the_order_as_it_was() -> None:
    """PENDING_CANCEL while the request is out; after a refusal open again, with what is filled of it."""
    account = Account("0x" + "11" * 32)
    account.sent("0x1", product_id=4, price=1, amount=10)
    account.accepted("0x1")
    order = account.orders["0x1"]
    account.cancel_sent("0x1")
    assert OrderStatus.PENDING_CANCEL is order.status
    account.cancel_failed("0x1")
    assert OrderStatus.NEW is order.status
    account.reconcile_filled("0x1", 4)
    account.cancel_sent("0x1")
    account.cancel_failed("0x1")
    assert OrderStatus.PARTIALLY_FILLED is order.status
    account.cancel_sent("0x2")
    account.cancel_failed("0x2")
    assert {"0x1"} == set(account.orders)
    assert any("0x1" in line for line in account.lines())


def test_final_statuses_stay() -> None:
    """No event leads out of a final status, save two.

    The refusal after the cancel event of the same IOC, and fills that prove an end to be another.
    """
    exits = {(before, event) for before, event in TRANSITIONS if before in FINAL}

    assert {
        (OrderStatus.CANCELED, OrderEvent.REFUSED),
        (OrderStatus.CANCELED, OrderEvent.FILLED_ALL),
        (OrderStatus.EXPIRED, OrderEvent.FILLED_ALL),
    } == exits


def test_pairs_outside_the_table_change_nothing() -> None:
    """Late news about an order that has moved on is ignored."""
    for status, event in itertools.product(OrderStatus, OrderEvent):
        order = TrackedOrder(DIGEST, 4, True, 1, 1, status=status)
        after = TRANSITIONS.get((status, event), status)

        assert (after is not status) == order.on(event)
        assert after is order.status


def test_an_order_of_an_earlier_life_is_recalled_beside_its_fills() -> None:
    """Its fills may have been applied before it or are applied after it; it cannot be sent again."""
    account = Account(OWN)
    account.apply(fill(2, remaining=8))
    account.recall(
        TrackedOrder(
            DIGEST, 4, is_buy=True, price=120 * E18, qty=10 * E18, client_id=9, is_sent=True, updated=5
        )
    )
    account.apply(fill(3, 8, remaining=5))

    order = account.orders[DIGEST]
    assert (5 * E18, 5 * E18, 2 * E18, 100 * E18) == (
        order.cum_qty,
        order.leaves_qty,
        order.fees,
        order.avg_px,
    )
    assert (120 * E18, 9, True) == (order.price, order.client_id, order.is_sent)
    with pytest.raises(UsageError, match="sent already"):
        account.sent(DIGEST, product_id=4, price=1, amount=1)


def test_forgotten_fills_count_as_received() -> None:
    """What was left out of a journal is no news when it is told again."""
    account = Account(OWN)
    account.forget(7)

    assert (False, True) == (account.apply(fill(1, 7)), account.apply(fill(1, 8)))
    assert (1, 8, True) == (account.duplicate_fills, account.watermark, account.has_seen((3, "0x")))
    assert "forgotten 7" in list(account.lines())
    assert not any(line.startswith("forgotten") for line in Account(OWN).lines())
