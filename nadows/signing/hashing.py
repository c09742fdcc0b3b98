"""What is signed: EIP-712 domains and struct hashes of every request the venue verifies.

A signature covers ``keccak(0x1901 || domain separator || struct hash)``, called the digest. The
struct hash is packed by hand from 32-byte words, because the types never change; the generic
encoders of the Ethereum libraries cost a hundred times more for the same bytes.

Source: protocol.md section 4 (EIP-712 signing), and its vectors made with nado-protocol 2.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sha3 import keccak_256

from nadows.errors import UsageError

__all__ = [
    "DOMAIN_FIELDS",
    "ENCODED_TYPES",
    "TYPE_HASHES",
    "Domain",
    "Subaccount",
    "encode_cancellation",
    "encode_cancellation_products",
    "encode_link_signer",
    "encode_list_trigger_orders",
    "encode_order",
    "encode_stream_authentication",
    "hash_burn_nlp",
    "hash_cancellation",
    "hash_cancellation_products",
    "hash_link_signer",
    "hash_liquidate_subaccount",
    "hash_list_trigger_orders",
    "hash_mint_nlp",
    "hash_order",
    "hash_stream_authentication",
    "hash_transfer_quote",
    "hash_withdraw_collateral",
    "hash_withdraw_collateral_v2",
    "keccak256",
    "parse_address",
    "parse_bytes32",
]

MIN_I128: Final = -(2**127)
MAX_I128: Final = 2**127 - 1
MAX_U32: Final = 2**32 - 1
MAX_U64: Final = 2**64 - 1
MAX_U128: Final = 2**128 - 1

ENCODED_TYPES: Final[dict[str, str]] = {
    "Order": "bytes32 sender,int128 priceX18,int128 amount,uint64 expiration,uint64 nonce,uint128 appendix",
    "Cancellation": "bytes32 sender,uint32[] productIds,bytes32[] digests,uint64 nonce",
    "CancellationProducts": "bytes32 sender,uint32[] productIds,uint64 nonce",
    "StreamAuthentication": "bytes32 sender,uint64 expiration",
    "ListTriggerOrders": "bytes32 sender,uint64 recvTime",
    "WithdrawCollateral": "bytes32 sender,uint32 productId,uint128 amount,uint64 nonce",
    "WithdrawCollateralV2": (
        "bytes32 sender,uint32 productId,uint128 amount,uint64 nonce,address sendTo,uint128 appendix"
    ),
    "LiquidateSubaccount": (
        "bytes32 sender,bytes32 liquidatee,uint32 productId,bool isEncodedSpread,int128 amount,uint64 nonce"
    ),
    "MintNlp": "bytes32 sender,uint128 quoteAmount,uint64 nonce",
    "BurnNlp": "bytes32 sender,uint128 nlpAmount,uint64 nonce",
    "LinkSigner": "bytes32 sender,bytes32 signer,uint64 nonce",
    "TransferQuote": "bytes32 sender,bytes32 recipient,uint128 amount,uint64 nonce",
}
"""The fields of every signed type, as EIP-712 writes them between the parentheses."""

DOMAIN_FIELDS: Final = "string name,string version,uint256 chainId,address verifyingContract"

_ADDRESS: Final = re.compile(r"(?:0[xX])?([0-9a-fA-F]{40})", re.ASCII).fullmatch
_BYTES32: Final = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})", re.ASCII).fullmatch


def keccak256(data: bytes) -> bytes:
    """Hash with the Keccak of Ethereum, which is not the SHA3-256 of `hashlib`."""
    digest: bytes = keccak_256(data).digest()
    return digest


TYPE_HASHES: Final[dict[str, bytes]] = {
    name: keccak256(f"{name}({fields})".encode()) for name, fields in ENCODED_TYPES.items()
}

_DOMAIN_HEAD: Final = (
    keccak256(f"EIP712Domain({DOMAIN_FIELDS})".encode()) + keccak256(b"Nado") + keccak256(b"0.0.1")
)
_ORDER_TYPE: Final = TYPE_HASHES["Order"]


def parse_address(text: str, what: str = "address") -> bytes:
    """Read 20 bytes of hex, with or without ``0x``, in any case.

    Raises:
        UsageError: If *text* is anything else; the message names it as *what*.
    """
    match = _ADDRESS(text)
    if match is None:
        raise UsageError(f"{what} must be 20 bytes of hex such as 0x1a64…14f1 (42 characters), got {text!r}")
    return bytes.fromhex(match[1])


def parse_bytes32(text: str, what: str = "digest") -> bytes:
    """Read 32 bytes of hex, with or without ``0x``, in any case.

    Raises:
        UsageError: If *text* is anything else; the message names it as *what*.
    """
    match = _BYTES32(text)
    if match is None:
        raise UsageError(f"{what} must be 32 bytes of hex (0x and 64 digits), got {text!r}")
    return bytes.fromhex(match[1])


@dataclass(frozen=True, slots=True)
class Subaccount:
    """An account of the venue: a wallet address (20 bytes) and a name (12 bytes, zeros at the right).

    Source: protocol.md 0 (Conventions), ``sender``.
    """

    raw: bytes = field(repr=False)
    """The 32 bytes."""
    hex: str = field(init=False, compare=False)
    """The same in lower-case hex with ``0x``, as the venue writes it."""

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise UsageError(
                f"a subaccount has 32 bytes, got {len(self.raw)}; use Subaccount.of(address, name)"
            )
        object.__setattr__(self, "hex", "0x" + self.raw.hex())

    @classmethod
    def of(cls, address: str, name: str = "default") -> Subaccount:
        """Join a wallet address and a subaccount name.

        Raises:
            UsageError: If the address is not 20 bytes of hex, or the name not ASCII of at most 12 characters.
        """
        if not name.isascii() or len(name) > 12 or "\0" in name:
            raise UsageError(f"a subaccount name is ASCII text of at most 12 characters, got {name!r}")
        return cls(parse_address(address, "wallet address") + name.encode().ljust(12, b"\0"))

    @classmethod
    def parse(cls, text: str) -> Subaccount:
        """Read the 32 bytes from hex, with or without ``0x``, in any case.

        Raises:
            UsageError: If *text* is not 32 bytes of hex.
        """
        return cls(parse_bytes32(text, "subaccount"))

    @property
    def address(self) -> str:
        """The wallet's address, lower-case hex with ``0x``."""
        return self.hex[:42]

    @property
    def name(self) -> str:
        r"""The name without its padding; bytes that are not ASCII (isolated subaccounts) as ``\x..``."""
        return self.raw[20:].rstrip(b"\0").decode("ascii", "backslashreplace")

    def __str__(self) -> str:
        return self.hex


class _OrderPrefixes(dict[int, bytes]):
    """``0x1901 || domain separator`` by product id, worked out on first use."""

    # A venue is asked about whatever product ids its clients invent; those must not fill its memory.
    LIMIT: Final = 4096

    def __init__(self, chain_id: int) -> None:
        super().__init__()
        self._chain_id = chain_id

    def __missing__(self, product_id: int) -> bytes:
        contract = _uint("product_id", product_id, MAX_U32)[12:]
        prefix = b"\x19\x01" + _domain_separator(self._chain_id, contract)
        if len(self) < self.LIMIT:
            self[product_id] = prefix
        return prefix


class Domain:
    """What binds a signature to one chain and contract: orders to a product, all else to the endpoint.

    Source: protocol.md section 4 (name "Nado", version "0.0.1").
    """

    __slots__ = ("_endpoint_prefix", "_order_prefixes", "chain_id", "endpoint")

    def __init__(self, chain_id: int, endpoint: str) -> None:
        """Work out the endpoint's separator.

        Args:
            chain_id: 57073 for mainnet, 763373 for testnet.
            endpoint: Address of the endpoint contract, hex.

        Raises:
            UsageError: If *chain_id* is not a positive integer or *endpoint* not an address.
        """
        if chain_id < 1:
            raise UsageError(f"a chain id is a positive integer, got {chain_id}")
        contract = parse_address(endpoint, "endpoint contract")
        self.chain_id: Final = chain_id
        self.endpoint: Final = "0x" + contract.hex()
        self._endpoint_prefix: Final = b"\x19\x01" + _domain_separator(chain_id, contract)
        self._order_prefixes: Final = _OrderPrefixes(chain_id)

    def __repr__(self) -> str:
        return f"Domain(chain_id={self.chain_id}, endpoint={self.endpoint!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Domain):
            return NotImplemented
        return (self.chain_id, self.endpoint) == (other.chain_id, other.endpoint)

    def __hash__(self) -> int:
        return hash((self.chain_id, self.endpoint))

    @property
    def endpoint_separator(self) -> bytes:
        """The domain separator of everything but orders, 32 bytes."""
        return self._endpoint_prefix[2:]

    def order_separator(self, product_id: int) -> bytes:
        """Return the domain separator of orders in one product, 32 bytes.

        The contract it names is the product id, written as an address.
        """
        return self._order_prefixes[product_id][2:]

    def digest(self, struct_hash: bytes) -> bytes:
        """Return the 32 bytes to sign for any request but an order."""
        return keccak256(self._endpoint_prefix + struct_hash)

    def order_digest(self, product_id: int, struct_hash: bytes) -> bytes:
        """Return the 32 bytes to sign for an order; as hex they are the order's identity everywhere."""
        return keccak256(self._order_prefixes[product_id] + struct_hash)


def encode_order(
    sender: Subaccount, price_x18: int, amount: int, expiration: int, nonce: int, appendix: int
) -> bytes:
    """Encode an order as its struct, which `hash_order` hashes.

    Args:
        sender: Who trades.
        price_x18: Limit price, x18.
        amount: Size in base units, x18; negative sells.
        expiration: Unix seconds.
        nonce: Receive time and counter, see `NonceSource`.
        appendix: Packed options, see `Appendix`.

    Raises:
        UsageError: If a number is not an integer or leaves its range.
    """
    # One comparison chain and one join: this is the hot path; what went wrong is found out afterwards.
    try:
        if (
            MIN_I128 <= price_x18 <= MAX_I128
            and MIN_I128 <= amount <= MAX_I128
            and 0 <= expiration <= MAX_U64
            and 0 <= nonce <= MAX_U64
            and 0 <= appendix <= MAX_U128
        ):
            return (
                _ORDER_TYPE
                + sender.raw
                + price_x18.to_bytes(32, "big", signed=True)
                + amount.to_bytes(32, "big", signed=True)
                + expiration.to_bytes(32, "big")
                + nonce.to_bytes(32, "big")
                + appendix.to_bytes(32, "big")
            )
    except (AttributeError, TypeError):
        pass  # A number is no int; the checks below say which.
    return _struct(
        "Order",
        sender.raw,
        _int128("price_x18", price_x18),
        _int128("amount", amount),
        _uint("expiration", expiration, MAX_U64),
        _uint("nonce", nonce, MAX_U64),
        _uint("appendix", appendix, MAX_U128),
    )


def hash_order(
    sender: Subaccount, price_x18: int, amount: int, expiration: int, nonce: int, appendix: int
) -> bytes:
    """Hash the struct of an order; arguments and errors are those of `encode_order`."""
    return keccak256(encode_order(sender, price_x18, amount, expiration, nonce, appendix))


def encode_cancellation(
    sender: Subaccount, product_ids: Sequence[int], digests: Sequence[bytes], nonce: int
) -> bytes:
    """Encode the struct of ``cancel_orders``; *digests* are 32 bytes each and pair up with *product_ids*.

    Raises:
        UsageError: If the two lists differ in length, a digest is not 32 bytes, or a number leaves its range.
    """
    if len(product_ids) != len(digests):
        raise UsageError(
            f"{len(product_ids)} product ids for {len(digests)} digests; give one for each order"
        )
    for digest in digests:
        if len(digest) != 32:
            raise UsageError(f"an order digest has 32 bytes, got {len(digest)}")
    return _struct(
        "Cancellation",
        sender.raw,
        _product_list(product_ids),
        keccak256(b"".join(digests)),
        _uint("nonce", nonce, MAX_U64),
    )


def hash_cancellation(
    sender: Subaccount, product_ids: Sequence[int], digests: Sequence[bytes], nonce: int
) -> bytes:
    """Hash what `encode_cancellation` encodes; arguments and errors are the same."""
    return keccak256(encode_cancellation(sender, product_ids, digests, nonce))


def encode_cancellation_products(sender: Subaccount, product_ids: Sequence[int], nonce: int) -> bytes:
    """Encode the struct of ``cancel_product_orders``; an empty list means every product."""
    return _struct(
        "CancellationProducts", sender.raw, _product_list(product_ids), _uint("nonce", nonce, MAX_U64)
    )


def hash_cancellation_products(sender: Subaccount, product_ids: Sequence[int], nonce: int) -> bytes:
    """Hash what `encode_cancellation_products` encodes; arguments and errors are the same."""
    return keccak256(encode_cancellation_products(sender, product_ids, nonce))


def encode_stream_authentication(sender: Subaccount, expiration_ms: int) -> bytes:
    """Encode the struct of the subscription socket's ``authenticate``; *expiration_ms* since the epoch."""
    return _struct("StreamAuthentication", sender.raw, _uint("expiration", expiration_ms, MAX_U64))


def hash_stream_authentication(sender: Subaccount, expiration_ms: int) -> bytes:
    """Hash what `encode_stream_authentication` encodes; arguments and errors are the same."""
    return keccak256(encode_stream_authentication(sender, expiration_ms))


def encode_list_trigger_orders(sender: Subaccount, recv_time_ms: int) -> bytes:
    """Encode the struct of the trigger service's ``list_trigger_orders``; *recv_time_ms* since the epoch."""
    return _struct("ListTriggerOrders", sender.raw, _uint("recvTime", recv_time_ms, MAX_U64))


def hash_list_trigger_orders(sender: Subaccount, recv_time_ms: int) -> bytes:
    """Hash what `encode_list_trigger_orders` encodes; arguments and errors are the same."""
    return keccak256(encode_list_trigger_orders(sender, recv_time_ms))


def encode_link_signer(sender: Subaccount, signer: Subaccount, nonce: int) -> bytes:
    """Encode the struct of ``link_signer``; *nonce* counts up (``tx_nonce``), as for all requests below."""
    return _struct("LinkSigner", sender.raw, signer.raw, _uint("nonce", nonce, MAX_U64))


def hash_link_signer(sender: Subaccount, signer: Subaccount, nonce: int) -> bytes:
    """Hash what `encode_link_signer` encodes; arguments and errors are the same."""
    return keccak256(encode_link_signer(sender, signer, nonce))


def hash_withdraw_collateral(sender: Subaccount, product_id: int, amount: int, nonce: int) -> bytes:
    """Hash the struct of ``withdraw_collateral``; *amount* in the token's own decimals."""
    return _struct_hash("WithdrawCollateral", sender.raw, *_withdrawal(product_id, amount, nonce))


def hash_withdraw_collateral_v2(
    sender: Subaccount, product_id: int, amount: int, nonce: int, send_to: str, appendix: int
) -> bytes:
    """Hash the struct of ``withdraw_collateral_v2``; *send_to* is the receiving address, hex."""
    return _struct_hash(
        "WithdrawCollateralV2",
        sender.raw,
        *_withdrawal(product_id, amount, nonce),
        parse_address(send_to, "send_to").rjust(32, b"\0"),
        _uint("appendix", appendix, MAX_U128),
    )


def hash_liquidate_subaccount(
    sender: Subaccount,
    liquidatee: Subaccount,
    product_id: int,
    is_encoded_spread: bool,
    amount: int,
    nonce: int,
) -> bytes:
    """Hash the struct of ``liquidate_subaccount``; *amount* x18, signed."""
    return _struct_hash(
        "LiquidateSubaccount",
        sender.raw,
        liquidatee.raw,
        _uint("product_id", product_id, MAX_U32),
        _uint("is_encoded_spread", is_encoded_spread, 1),
        _int128("amount", amount),
        _uint("nonce", nonce, MAX_U64),
    )


def hash_mint_nlp(sender: Subaccount, quote_amount: int, nonce: int) -> bytes:
    """Hash the struct of ``mint_nlp``; *quote_amount* x18."""
    return _struct_hash(
        "MintNlp", sender.raw, _uint("quote_amount", quote_amount, MAX_U128), _uint("nonce", nonce, MAX_U64)
    )


def hash_burn_nlp(sender: Subaccount, nlp_amount: int, nonce: int) -> bytes:
    """Hash the struct of ``burn_nlp``; *nlp_amount* x18."""
    return _struct_hash(
        "BurnNlp", sender.raw, _uint("nlp_amount", nlp_amount, MAX_U128), _uint("nonce", nonce, MAX_U64)
    )


def hash_transfer_quote(sender: Subaccount, recipient: Subaccount, amount: int, nonce: int) -> bytes:
    """Hash the struct of ``transfer_quote``; *amount* x18."""
    return _struct_hash(
        "TransferQuote",
        sender.raw,
        recipient.raw,
        _uint("amount", amount, MAX_U128),
        _uint("nonce", nonce, MAX_U64),
    )


def _domain_separator(chain_id: int, contract: bytes) -> bytes:
    return keccak256(_DOMAIN_HEAD + chain_id.to_bytes(32, "big") + contract.rjust(32, b"\0"))


def _struct(primary_type: str, *words: bytes) -> bytes:
    """Encode a struct: the hash of its type, then its fields, 32 bytes each."""
    return TYPE_HASHES[primary_type] + b"".join(words)


def _struct_hash(primary_type: str, *words: bytes) -> bytes:
    return keccak256(_struct(primary_type, *words))


def _withdrawal(product_id: int, amount: int, nonce: int) -> tuple[bytes, bytes, bytes]:
    return (
        _uint("product_id", product_id, MAX_U32),
        _uint("amount", amount, MAX_U128),
        _uint("nonce", nonce, MAX_U64),
    )


def _product_list(product_ids: Sequence[int]) -> bytes:
    return keccak256(b"".join([_uint("product_id", product_id, MAX_U32) for product_id in product_ids]))


def _uint(what: str, value: int, high: int) -> bytes:
    return _word(what, value, 0, high)


def _int128(what: str, value: int) -> bytes:
    return _word(what, value, MIN_I128, MAX_I128)


def _word(what: str, value: int, low: int, high: int) -> bytes:
    """Check one number of a signed struct and widen it to 32 bytes."""
    if not isinstance(value, int):
        raise UsageError(
            f"{what} must be an int, got {type(value).__name__} {value!r}; to_x18 makes exact ones"
        )
    if not low <= value <= high:
        raise UsageError(f"{what} must lie between {low} and {high}, got {value}")
    return value.to_bytes(32, "big", signed=low < 0)
