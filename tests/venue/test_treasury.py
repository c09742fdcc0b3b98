"""Tests of nadows.venue.treasury: withdrawals, transfers and the liquidity pool."""

from __future__ import annotations

import json

import pytest

from nadows.network import TESTNET
from nadows.signing import Subaccount, hash_withdraw_collateral_v2
from nadows.units import ONE_X18, to_x18
from nadows.venue.switches import Switches
from tests.venue.rig import BTC, KBTC, SECOND, Json, Rig, Trader

MILLION = 1_000_000
USDT0 = 10**6
"""Units of the token in one."""
OTHER = Subaccount.parse("0x" + "77" * 20 + b"default".hex().ljust(24, "0"))


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def trader(rig: Rig) -> Trader:
    return Trader(rig)


def money(trader: Trader, product_id: int = 0) -> int:
    return trader.account.spots.get(product_id, 0)


def is_conserved(rig: Rig) -> bool:
    return rig.exchange.engine.ledger.imbalance() == {}


class TestWithdrawals:
    """Tokens leave in the token's own units, with a fee on USDT0."""

    def test_quote(self, rig: Rig, trader: Trader) -> None:
        """Amount and fee are gone, the change is told, and the nonce counts up."""
        trader.place("2990", "0.1")

        answer = trader.withdraw(0, 100 * USDT0)

        assert ("success", "execute_withdraw_collateral") == (answer["status"], answer["request_type"])
        assert "data" not in answer
        assert to_x18(str(MILLION - 101)) == money(trader)
        nonces = rig.query("nonces", address=trader.signer.address)["data"]
        assert "1" == nonces["tx_nonce"]
        assert is_conserved(rig)

    def test_it_is_told(self) -> None:
        """Streams and archive have it under its name."""
        told: list[bytes] = []
        rig = Rig(journal=told.append)
        trader = Trader(rig)
        trader.place("2990", "0.1")
        told.clear()

        trader.withdraw(0, USDT0)

        assert [("withdraw_collateral", str(to_x18(str(MILLION - 2))))] == [
            (frame["reason"], frame["amount"]) for frame in map(json.loads, told)
        ]
        (event,) = rig.archive("events", event_types=["withdraw_collateral"])["events"]
        assert trader.sub.hex == event["subaccount"]

    def test_a_token_with_eight_decimals(self, rig: Rig, trader: Trader) -> None:
        """KBTC counts in hundred-millionths and has no fee."""
        trader.place("95100", "0.01", product_id=KBTC)

        assert "success" == trader.withdraw(KBTC, 400_000)["status"]
        assert to_x18("0.006") == money(trader, KBTC)
        assert is_conserved(rig)

    def test_to_another_address(self, rig: Rig, trader: Trader) -> None:
        """The second version names the receiver and signs it."""
        send_to = "0x" + "88" * 20
        nonce, amount = 0, 5 * USDT0
        hashed = hash_withdraw_collateral_v2(trader.sub, 0, amount, nonce, send_to, 0)
        tx = {
            "sender": trader.sub.hex,
            "productId": 0,
            "amount": str(amount),
            "nonce": "0",
            "sendTo": send_to,
            "appendix": "0",
        }
        body = {"tx": tx, "signature": trader.signer.sign(TESTNET.domain.digest(hashed))}

        assert "success" == rig.ask(trader.connection, {"withdraw_collateral_v2": body})["status"]
        assert to_x18(str(MILLION - 6)) == money(trader)

    @pytest.mark.parametrize(
        ("product_id", "units", "members", "code"),
        [
            (BTC, 1, {}, 2016),
            (11, 1, {}, 2016),
            (99, 1, {}, 2016),
            (0, 0, {}, 2002),
            (0, 2**127, {}, 2091),
            (0, 2 * MILLION * USDT0, {}, 2036),
            (0, MILLION * USDT0, {"spot_leverage": False}, 2017),
            (KBTC, 1, {"spot_leverage": False}, 2017),
        ],
    )
    def test_refused(
        self, rig: Rig, trader: Trader, product_id: int, units: int, members: Json, code: int
    ) -> None:
        """Each with its code, and nothing has changed, the nonce included."""
        answer = trader.withdraw(product_id, units, **members)

        assert code == answer["error_code"]
        assert MILLION * ONE_X18 == money(trader)
        assert "0" == rig.query("nonces", address=trader.signer.address)["data"]["tx_nonce"]

    @pytest.mark.parametrize("leverage", [None, "true", "false"])
    def test_what_may_be_withdrawn_can_be(self, rig: Rig, trader: Trader, leverage: str | None) -> None:
        """`max_withdrawable` is the most that passes."""
        trader.place("3010", "100")
        most = int(
            rig.query("max_withdrawable", sender=trader.sub.hex, product_id=0, spot_leverage=leverage)[
                "data"
            ]["max_withdrawable"]
        )
        units = most // 10**12
        may = {"spot_leverage": leverage == "true"}

        assert trader.withdraw(0, units + 1, **may)["error_code"] in (2017, 2036)
        assert "success" == trader.withdraw(0, units, **may)["status"]

    def test_borrowing_a_token(self, rig: Rig, trader: Trader) -> None:
        """With spot leverage more than is held can go out, up to the health."""
        trader.place("95100", "0.01", product_id=KBTC)
        most = int(
            rig.query("max_withdrawable", sender=trader.sub.hex, product_id=KBTC, spot_leverage="true")[
                "data"
            ]["max_withdrawable"]
        )

        assert 2036 == trader.withdraw(KBTC, most // 10**10 + 1)["error_code"]
        assert "success" == trader.withdraw(KBTC, most // 10**10)["status"]
        assert money(trader, KBTC) < -9 * ONE_X18


class TestTransfers:
    """USDT0 between subaccounts."""

    def test_to_a_new_account(self, rig: Rig, trader: Trader) -> None:
        """The recipient is opened by it, without paper money."""
        second = Subaccount.of(trader.signer.address, "second")

        assert "success" == trader.transfer(second, "250")["status"]

        assert 250 * ONE_X18 == rig.exchange.engine.ledger.accounts[second.hex].spots[0]
        assert (MILLION - 250) * ONE_X18 == money(trader)
        assert is_conserved(rig)
        kinds = [event["event_type"] for event in rig.archive("events", subaccounts=[second.hex])["events"]]
        assert ["transfer_quote"] == kinds

    def test_refused(self, rig: Rig, trader: Trader) -> None:
        """Too little, to oneself, or what the health does not allow."""
        assert 2077 == trader.transfer(OTHER, "4.99")["error_code"]
        assert 2079 == trader.transfer(trader.sub, "5")["error_code"]
        assert 2036 == trader.transfer(OTHER, "1000001")["error_code"]

    def test_new_recipients_are_limited(self, rig: Rig, trader: Trader) -> None:
        """Five of other wallets a day; known ones and one's own do not count."""
        others = [
            Subaccount.parse(f"0x{number:040x}" + b"default".hex().ljust(24, "0")) for number in range(1, 8)
        ]
        for other in others[:5]:
            assert "success" == trader.transfer(other, "5")["status"]

        assert 2078 == trader.transfer(others[5], "5")["error_code"]
        assert "success" == trader.transfer(others[0], "5")["status"]
        assert "success" == trader.transfer(Subaccount.of(trader.signer.address, "b"), "5")["status"]
        rig.skip(86_400 * SECOND)
        assert "success" == trader.transfer(others[5], "5")["status"]


class TestPool:
    """What is put in is locked at first, then comes out again."""

    def test_mint_and_burn(self) -> None:
        """A lap ends where it began."""
        rig = Rig(switches=Switches(nlp_lock_s=10))
        trader = Trader(rig)

        assert "success" == trader.mint("1000")["status"]
        assert [(MILLION - 1000) * ONE_X18, 1000 * ONE_X18] == [money(trader), money(trader, 11)]
        assert 2096 == trader.burn("1000")["error_code"]
        locked = rig.query("nlp_locked_balances", subaccount=trader.sub.hex)["data"]
        assert ["1000000000000000000000", "0", 1] == [
            locked["balance_locked"]["balance"]["amount"],
            locked["balance_unlocked"]["balance"]["amount"],
            len(locked["locked_balances"]),
        ]
        assert "0" == rig.query("max_nlp_burnable", sender=trader.sub.hex)["data"]["max_nlp_amount"]

        rig.skip(10 * SECOND)

        free = rig.query("max_nlp_burnable", sender=trader.sub.hex)["data"]["max_nlp_amount"]
        assert str(1000 * ONE_X18) == free
        assert "success" == trader.burn("1000")["status"]
        assert [MILLION * ONE_X18, 0] == [money(trader), money(trader, 11)]
        assert is_conserved(rig)

    def test_refused(self, rig: Rig, trader: Trader) -> None:
        """Too little, more than there is, and what the health does not allow."""
        assert 2090 == trader.mint("0.99")["error_code"]
        assert 2037 == trader.burn("1")["error_code"]
        assert 2002 == trader.burn("0")["error_code"]
        assert 2036 == trader.mint("6000000")["error_code"]
        assert 2017 == trader.mint("1000001", spot_leverage=False)["error_code"]

    def test_the_pool_is_shown(self, rig: Rig, trader: Trader) -> None:
        """Its quote is what was put in; the most that can be put in is told."""
        trader.mint("1000")

        (pool,) = rig.query("nlp_pool_info")["data"]["nlp_pools"]
        assert str(1000 * ONE_X18) == pool["subaccount_info"]["spot_balances"][0]["balance"]["amount"]
        most = rig.query("max_nlp_mintable", sender=trader.sub.hex, spot_leverage="false")["data"]
        assert str((MILLION - 1000) * ONE_X18) == most["max_quote_amount"]
        assert "0" == rig.query("max_nlp_burnable", sender=OTHER.hex)["data"]["max_nlp_amount"]


def test_a_wrong_nonce_or_key(rig: Rig, trader: Trader) -> None:
    """Both are refused before anything is looked at."""
    trader.withdraw(0, USDT0)
    tx = {"sender": trader.sub.hex, "recipient": OTHER.hex, "amount": "5", "nonce": "0"}

    answer = rig.ask(trader.connection, {"transfer_quote": {"tx": tx, "signature": "0x" + "11" * 65}})

    assert answer["error_code"] in (2028, 2034, 2035)
    assert (
        2038
        == rig.ask(
            trader.connection, {"transfer_quote": {"tx": tx | {"nonce": str(2**64)}, "signature": "0x"}}
        )["error_code"]
    )
