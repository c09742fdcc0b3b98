"""The venue's error codes, as data.

Texts change without notice, so programs branch on codes. A code that is not in the table is
kept as it came and never an error by itself: the venue adds some with every release.

Source: protocol.md 3.11 (the venue's error page, the official SDKs, ccxt 4.5.90).
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

__all__ = ["ERROR_CODES", "ErrorCode", "ErrorKind"]


class ErrorKind(Enum):
    """What a refusal means for the one who asked."""

    TRANSIENT = "transient"
    """The same intention may succeed later: wait, take a fresh nonce, try again."""
    CLIENT = "client"
    """The request itself is wrong; sending it again is pointless."""
    REJECT = "reject"
    """A rule of the market or of the account says no."""
    AUTH = "auth"
    """Signature, signer, address or location is refused."""
    UNKNOWN = "unknown"
    """No source says; do not retry on your own account."""


class ErrorCode(NamedTuple):
    """One row of the table."""

    code: int
    name: str
    """As the venue names it; ``Unnamed<code>`` where a code was met but no source has its name."""
    kind: ErrorKind


_BY_KIND: Final[dict[ErrorKind, dict[int, str]]] = {
    ErrorKind.TRANSIENT: {
        1000: "RateLimit",
        1004: "Maintenance",
        1006: "ServiceUnavailable",
        1015: "RateLimit",  # Cloudflare's own number for the same thing
        2011: "LateRecvExecution",
        2023: "AddressScreeningPending",
        2030: "LinkedSignerUpdateLimitExceeded",
        2049: "TransferFailed",
        2053: "OrdersCannotBeMatched",
        2063: "InvalidQueryResponse",
        2068: "SystemUnderMaintenance",
        5000: "InternalError",
    },
    ErrorKind.CLIENT: {
        1005: "GatewayInvalidRequest",
        2000: "InvalidPriceIncrement",
        2001: "InvalidAmountIncrement",
        2002: "ZeroAmount",
        2009: "OrderTypeNotSupported",
        2010: "InvalidTaker",
        2012: "EarlyRevcExecution",  # the venue's spelling
        2015: "MarketNotFound",
        2016: "InvalidProductId",
        2019: "InappropriateSpotLeverage",
        2022: "InvalidNonce",
        2027: "SignatureLength",
        2029: "InvalidSignerZero",
        2033: "NonceMissingInPayload",
        2034: "InvalidSignatureV",
        2038: "InvalidExecuteMessage",
        2039: "MismatchedDigestsAndProductIdsLength",
        2040: "InvalidBool",
        2041: "RebateExecuteFormatting",
        2045: "InvalidLiquidationParameters",
        2046: "PerpLiquidationSizeIncrementMismatch",
        2047: "InvalidLiquidationAmount",
        2052: "InvalidMaker",
        2055: "InvalidPrice",
        2059: "NotTriggerOrder",
        2060: "InvalidProductIds",
        2061: "InvalidProductType",
        2062: "MissingProductIds",
        2065: "InvalidExpirationBits",
        2066: "CancelAndPlaceDifferentSenderOrSigner",
        2067: "ReduceOnlyNotTaker",
        2072: "OrderBatchExceedLimit",
        2074: "MismatchedProductIds",
        2075: "NonDefaultPrivateBatchOrder",
        2076: "InvalidTriggerPrivateBatchOrder",
        2080: "WebsocketCompressionRequired",
        # protocol.md has 2081..2088 as "C/R": the two that depend on the account's state are under REJECT.
        2081: "IsolatedSubaccountCannotPlaceIsolatedOrder",
        2082: "IsolatedSubaccountInvalidProduct",
        2083: "InvalidIsolatedSpotOrder",
        2084: "InvalidIsolatedTriggerOrder",
        2085: "InvalidIsolatedReduceOnlyOrder",
        2086: "InvalidIsolatedMargin",
        2089: "InvalidLinkSignerSender",
        2091: "AmountTooLarge",
        2095: "InvalidOrderVersion",
        2097: "InvalidTriggerOrder",
        2098: "InvalidTwap",
        2099: "InvalidTwapOrderType",
        2100: "InvalidTwapTimes",
        2101: "InvalidTwapAmountDistribution",
        2102: "InvalidTwapExpiration",
        2103: "InvalidTwapInterval",
        2104: "InvalidTwapTotalDuration",
        2105: "InvalidTwapExpirationTiming",
        2106: "InvalidTwapRandomConfiguration",
        2107: "InvalidTwapAmount",
        2108: "InvalidTwapAmountsSum",
        2109: "InvalidTwapTriggerAmountConfiguration",
        2110: "InvalidTwapIsolated",
        2111: "MaxOrderLimitExceeded",
        2112: "NlpPoolAccountsCannotPlaceIsolatedOrder",
        2113: "NlpPoolAccountsCannotPlaceTriggerOrder",
        2114: "BatchSenderMismatch",
        2117: "Unnamed2117",
        2118: "InvalidBuilder",
        2119: "Unnamed2119",
        2123: "Unnamed2123",
        2124: "Unnamed2124",
        3000: "DigestsNotAllowed",
        3001: "DigestsExceedLimit",
        3002: "MissingSubaccount",
        3003: "InvalidInterval",
        3004: "InvalidWithdrawalIdx",
        3005: "NotEnoughFastWithdrawalSignatures",
    },
    ErrorKind.REJECT: {
        2003: "OrderAmountTooSmall",
        2004: "OrderExpired",
        2005: "MaxOrdersLimitReached",
        2006: "UnhealthyOrder",
        2007: "OraclePriceDifference",
        2008: "PostOnlyOrderCrossesBook",
        2013: "DigestAlreadyExists",
        2017: "SpotExecuteExceedsBorrowLimit",
        2020: "OrderNotFound",
        2024: "NoPriorDeposit",
        2025: "SingleSignatureInsufficientAccountValue",
        2026: "DuplicateSignerLinking",
        2031: "FillOrKillNotFilled",
        2036: "SubaccountHealthTooLow",
        2037: "ExcessiveLPTokenBurn",
        2042: "NotLiquidatable",
        2043: "LiquidatorHealthTooLow",
        2044: "PositiveInitialHealthLiquidationAttempt",
        2048: "LiabilitiesBeforePerpsLiquidationAttempt",
        2051: "NotFinalizableSubaccount",
        2054: "SlippageTooHigh",
        2056: "ImmediateOrCancelDoesNotCross",
        2057: "MaxTriggerOrdersLimitReached",
        2058: "TriggerOrderNotFound",
        2064: "ReduceOnlyIncreasesPosition",
        2069: "MarketTradingBlocked",
        2070: "MarketMaxOpenInterest",
        2071: "MaxUtilization",
        2073: "SelfMatchNotAllowed",
        2077: "TransferQuoteAmountTooSmall",
        2078: "TransferQuoteNewRecipientLimitExceeded",
        2079: "SelfTransferQuoteNotAllowed",
        2087: "FailedToCreateIsolatedSubaccount",
        2088: "InvalidOrderFromIsolatedSubaccount",
        2090: "MintNlpAmountTooSmall",
        2092: "NAccountHealthTooLow",
        2093: "NotCanonicalChain",
        2094: "OrderSizeTooSmall",
        2096: "UnlockedNlpInsufficient",
        2115: "LiquidationFrontrunByNlp",
        2122: "MarketIsolatedOnlyMode",
        2125: "Unnamed2125",
        2126: "Unnamed2126",
    },
    ErrorKind.AUTH: {
        1001: "BlacklistedAddress",
        1002: "BlockedLocation",
        1003: "BlockedSubdivision",
        2014: "UnauthorizedSubaccountCancellation",
        2021: "AddressRiskTooHigh",
        2028: "InvalidSigner",
        2035: "SignatureError",
        2050: "UnauthorizedAction",
    },
    ErrorKind.UNKNOWN: {
        2116: "Unnamed2116",
        2120: "Unnamed2120",
        2121: "Unnamed2121",
        4000: "PerpTickFormatting",
        4001: "NotImplemented",
        4002: "TemporarilyDisabledMintLp",
        4003: "EvmRevert",
        4004: "WithdrawRisk",
    },
}

ERROR_CODES: Final[dict[int, ErrorCode]] = {
    code: ErrorCode(code, name, kind)
    for code, kind, name in sorted(
        ((code, kind, name) for kind, names in _BY_KIND.items() for code, name in names.items()),
        key=lambda row: row[0],
    )
}
"""Every code that a source has, ascending by code. 2018 and 2032 are in no source."""
