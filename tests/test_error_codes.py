"""The table of error codes."""

from __future__ import annotations

import pytest

from nadows.error_codes import ERROR_CODES, ErrorCode, ErrorKind


def test_codes_are_those_of_the_sources() -> None:
    """Every code that a source has is there, ranges expanded, and no other."""
    documented = {
        *range(1000, 1007),
        1015,
        *(set(range(2000, 2127)) - {2018, 2032}),
        *range(3000, 3006),
        *range(4000, 4005),
        5000,
    }

    assert sorted(documented) == list(ERROR_CODES)


def test_rows_carry_their_own_code() -> None:
    """A row found by its code says that code."""
    assert list(ERROR_CODES) == [row.code for row in ERROR_CODES.values()]


def test_names_are_unique_but_for_the_rate_limit() -> None:
    """A name means one code; the two rate limits, the venue's and Cloudflare's, share theirs."""
    by_name: dict[str, list[int]] = {}
    for row in ERROR_CODES.values():
        by_name.setdefault(row.name, []).append(row.code)

    assert {"RateLimit": [1000, 1015]} == {name: codes for name, codes in by_name.items() if len(codes) > 1}


@pytest.mark.parametrize(
    "row",
    [
        ErrorCode(1000, "RateLimit", ErrorKind.TRANSIENT),
        ErrorCode(1003, "BlockedSubdivision", ErrorKind.AUTH),
        ErrorCode(2000, "InvalidPriceIncrement", ErrorKind.CLIENT),
        ErrorCode(2008, "PostOnlyOrderCrossesBook", ErrorKind.REJECT),
        ErrorCode(2011, "LateRecvExecution", ErrorKind.TRANSIENT),
        ErrorCode(2020, "OrderNotFound", ErrorKind.REJECT),
        ErrorCode(2028, "InvalidSigner", ErrorKind.AUTH),
        ErrorCode(2061, "InvalidProductType", ErrorKind.CLIENT),
        ErrorCode(2079, "SelfTransferQuoteNotAllowed", ErrorKind.REJECT),
        ErrorCode(2088, "InvalidOrderFromIsolatedSubaccount", ErrorKind.REJECT),
        ErrorCode(2098, "InvalidTwap", ErrorKind.CLIENT),
        ErrorCode(2103, "InvalidTwapInterval", ErrorKind.CLIENT),
        ErrorCode(2110, "InvalidTwapIsolated", ErrorKind.CLIENT),
        ErrorCode(2113, "NlpPoolAccountsCannotPlaceTriggerOrder", ErrorKind.CLIENT),
        ErrorCode(2116, "Unnamed2116", ErrorKind.UNKNOWN),
        ErrorCode(2122, "MarketIsolatedOnlyMode", ErrorKind.REJECT),
        ErrorCode(3005, "NotEnoughFastWithdrawalSignatures", ErrorKind.CLIENT),
        ErrorCode(4004, "WithdrawRisk", ErrorKind.UNKNOWN),
        ErrorCode(5000, "InternalError", ErrorKind.TRANSIENT),
    ],
    ids=lambda row: str(row.code),
)
def test_row(row: ErrorCode) -> None:
    """Single rows and both ends of every range have the name and the class of the protocol notes."""
    assert row == ERROR_CODES[row.code]
