from collections.abc import Callable
from typing import Any

import pytest
from eth_account import messages as oracle
from hypothesis import given
from hypothesis import strategies as st

from nadows.errors import UsageError
from nadows.signing import (
    ENCODED_TYPES,
    TYPE_HASHES,
    Domain,
    Subaccount,
    hash_burn_nlp,
    hash_cancellation,
    hash_cancellation_products,
    hash_link_signer,
    hash_liquidate_subaccount,
    hash_list_trigger_orders,
    hash_mint_nlp,
    hash_order,
    hash_stream_authentication,
    hash_transfer_quote,
    hash_withdraw_collateral,
    hash_withdraw_collateral_v2,
    keccak256,
    parse_address,
    parse_bytes32,
)
from tests.signing.vectors import ADDRESS_A, DATA, TESTNET_ENDPOINT, VECTORS, name_of

Message = dict[str, Any]

SENDER = Subaccount.of(ADDRESS_A)
OTHER = Subaccount.parse("0x" + "5b" * 32)
CHAIN = 763373

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
U128 = st.integers(0, 2**128 - 1)
I128 = st.integers(-(2**127), 2**127 - 1)
BYTES32 = st.binary(min_size=32, max_size=32)

# How a message of the vectors, or of eth_account, becomes the arguments of ours.
HASHES: dict[str, Callable[[Subaccount, Message], bytes]] = {
    "Order": lambda sender, m: hash_order(
        sender,
        int(m["priceX18"]),
        int(m["amount"]),
        int(m["expiration"]),
        int(m["nonce"]),
        int(m["appendix"]),
    ),
    "Cancellation": lambda sender, m: hash_cancellation(
        sender, m["productIds"], [_raw(digest) for digest in m["digests"]], int(m["nonce"])
    ),
    "CancellationProducts": lambda sender, m: hash_cancellation_products(
        sender, m["productIds"], int(m["nonce"])
    ),
    "StreamAuthentication": lambda sender, m: hash_stream_authentication(sender, int(m["expiration"])),
    "ListTriggerOrders": lambda sender, m: hash_list_trigger_orders(sender, int(m["recvTime"])),
    "LinkSigner": lambda sender, m: hash_link_signer(sender, Subaccount(_raw(m["signer"])), int(m["nonce"])),
    "WithdrawCollateral": lambda sender, m: hash_withdraw_collateral(
        sender, int(m["productId"]), int(m["amount"]), int(m["nonce"])
    ),
    "WithdrawCollateralV2": lambda sender, m: hash_withdraw_collateral_v2(
        sender,
        int(m["productId"]),
        int(m["amount"]),
        int(m["nonce"]),
        m["sendTo"],
        int(m["appendix"]),
    ),
    "LiquidateSubaccount": lambda sender, m: hash_liquidate_subaccount(
        sender,
        Subaccount(_raw(m["liquidatee"])),
        int(m["productId"]),
        m["isEncodedSpread"],
        int(m["amount"]),
        int(m["nonce"]),
    ),
    "MintNlp": lambda sender, m: hash_mint_nlp(sender, int(m["quoteAmount"]), int(m["nonce"])),
    "BurnNlp": lambda sender, m: hash_burn_nlp(sender, int(m["nlpAmount"]), int(m["nonce"])),
    "TransferQuote": lambda sender, m: hash_transfer_quote(
        sender, Subaccount(_raw(m["recipient"])), int(m["amount"]), int(m["nonce"])
    ),
}

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "bytes32": BYTES32,
    "int128": I128,
    "uint32": U32,
    "uint64": U64,
    "uint128": U128,
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
}


def _raw(value: str | bytes) -> bytes:
    return parse_bytes32(value) if isinstance(value, str) else value


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_vector(vector: dict[str, Any]) -> None:
    """Struct hash, domain separator and digest are the official SDK's."""
    message, domain = vector["message"], vector["domain"]
    contract = domain["verifyingContract"]

    struct_hash = HASHES[vector["primary_type"]](Subaccount.parse(message["sender"]), message)

    assert vector["type_hash"] == "0x" + TYPE_HASHES[vector["primary_type"]].hex()
    assert vector["struct_hash"] == "0x" + struct_hash.hex()
    if vector["primary_type"] == "Order":
        # The endpoint plays no part in an order's domain.
        ours = Domain(domain["chainId"], "0x" + "ee" * 20)
        product_id = int(contract, 16)
        assert vector["domain_separator"] == "0x" + ours.order_separator(product_id).hex()
        assert vector["digest"] == "0x" + ours.order_digest(product_id, struct_hash).hex()
    else:
        ours = Domain(domain["chainId"], contract)
        assert vector["domain_separator"] == "0x" + ours.endpoint_separator.hex()
        assert vector["digest"] == "0x" + ours.digest(struct_hash).hex()


@pytest.mark.oracle
@pytest.mark.parametrize("primary_type", ENCODED_TYPES)
@given(data=st.data())
def test_eth_account_agrees(primary_type: str, data: st.DataObject) -> None:
    """The digest of any message equals that of eth_account's general encoder."""
    fields = [field.split(" ") for field in ENCODED_TYPES[primary_type].split(",")]
    scalars = {name: data.draw(FIELDS[kind]) for kind, name in fields if not kind.endswith("[]")}
    length = data.draw(st.integers(0, 4))
    lists = {
        name: data.draw(st.lists(FIELDS[kind[:-2]], min_size=length, max_size=length))
        for kind, name in fields
        if kind.endswith("[]")
    }
    message = scalars | lists
    chain_id = data.draw(st.integers(1, 2**64))
    product_id = data.draw(U32)
    contract = f"0x{product_id:040x}" if primary_type == "Order" else TESTNET_ENDPOINT

    struct_hash = HASHES[primary_type](Subaccount(message["sender"]), message)
    domain = Domain(chain_id, TESTNET_ENDPOINT)
    digest = (
        domain.order_digest(product_id, struct_hash)
        if primary_type == "Order"
        else domain.digest(struct_hash)
    )

    expected = oracle._hash_eip191_message(
        oracle.encode_typed_data(
            full_message={
                "types": {
                    "EIP712Domain": [
                        {"name": "name", "type": "string"},
                        {"name": "version", "type": "string"},
                        {"name": "chainId", "type": "uint256"},
                        {"name": "verifyingContract", "type": "address"},
                    ],
                    primary_type: [{"name": name, "type": kind} for kind, name in fields],
                },
                "primaryType": primary_type,
                "domain": {
                    "name": "Nado",
                    "version": "0.0.1",
                    "chainId": chain_id,
                    "verifyingContract": contract,
                },
                "message": message,
            }
        )
    )
    assert expected == digest


def test_every_type_is_compared() -> None:
    """Each type that can be signed has its function, and each function its comparison."""
    assert set(ENCODED_TYPES) == set(HASHES)


@pytest.mark.parametrize(
    "contract", DATA["order_verifying_contracts"], ids=lambda each: str(each["product_id"])
)
def test_order_separator_names_the_product_as_address(contract: dict[str, Any]) -> None:
    """The contract of an order's domain is the product id, big-endian in 20 bytes."""
    product_id = contract["product_id"]

    separator = Domain(CHAIN, TESTNET_ENDPOINT).order_separator(product_id)

    assert Domain(CHAIN, contract["address"]).endpoint_separator == separator


def test_domain_remembers_only_so_many_products() -> None:
    """Products that clients invent do not fill the memory, and still get their separator."""
    domain = Domain(CHAIN, TESTNET_ENDPOINT)
    beyond = domain._order_prefixes.LIMIT + 5

    separators = {domain.order_separator(product_id) for product_id in range(beyond)}

    assert beyond == len(separators)
    assert domain._order_prefixes.LIMIT == len(domain._order_prefixes)
    assert Domain(CHAIN, f"0x{beyond:040x}").endpoint_separator == domain.order_separator(beyond)


def test_domain_is_a_value() -> None:
    """Two domains of the same chain and contract are equal, whatever the case of its letters."""
    domain = Domain(CHAIN, TESTNET_ENDPOINT)

    assert Domain(CHAIN, TESTNET_ENDPOINT.lower()) == domain
    assert hash(Domain(CHAIN, TESTNET_ENDPOINT.lower())) == hash(domain)
    assert Domain(1, TESTNET_ENDPOINT) != domain
    assert domain != CHAIN
    assert f"Domain(chain_id=763373, endpoint='{TESTNET_ENDPOINT.lower()}')" == repr(domain)


@pytest.mark.parametrize("subaccount", DATA["subaccounts"], ids=lambda each: repr(each["name"]))
def test_subaccount_vector(subaccount: dict[str, str]) -> None:
    """Address and name make the SDK's 32 bytes, and come back from them."""
    made = Subaccount.of(subaccount["owner"], subaccount["name"])

    assert subaccount["hex"] == made.hex == str(made)
    assert Subaccount.parse(subaccount["hex"].upper().replace("X", "x")) == made
    assert subaccount["owner"].lower() == made.address
    assert subaccount["name"] == made.name


def test_isolated_subaccount_has_a_readable_name() -> None:
    """Names the engine makes up are not ASCII; they show their bytes instead of failing."""
    isolated = Subaccount.parse(ADDRESS_A + "ff0000000000000200" + "69736f")

    assert "\\xff\x00\x00\x00\x00\x00\x00\x02\x00iso" == isolated.name


@pytest.mark.parametrize("name", ["thirteen_long", "naïve", "nul\0"])
def test_subaccount_name_refused(name: str) -> None:
    """A name that does not fit 12 ASCII bytes, or would not come back, is refused."""
    with pytest.raises(UsageError, match="ASCII text of at most 12"):
        Subaccount.of(ADDRESS_A, name)


@pytest.mark.parametrize("raw", [b"", b"\1" * 31, b"\1" * 33])
def test_subaccount_of_wrong_length_refused(raw: bytes) -> None:
    """A subaccount is 32 bytes."""
    with pytest.raises(UsageError, match="has 32 bytes"):
        Subaccount(raw)


@pytest.mark.parametrize("text", ["", "0x", "0x12", "zz" * 20, "0x" + "1" * 41, "0x" + "1" * 40 + "\n"])
def test_text_that_is_no_hex_refused(text: str) -> None:
    """Hex of the wrong length or alphabet is refused with its name."""
    with pytest.raises(UsageError, match="wallet address must be 20 bytes"):
        Subaccount.of(text)
    with pytest.raises(UsageError, match="subaccount must be 32 bytes"):
        Subaccount.parse(text)


def test_hex_needs_no_prefix() -> None:
    """Both spellings of hex are read, in any case."""
    assert bytes.fromhex("ab" * 20) == parse_address("AB" * 20) == parse_address("0XaB" + "aB" * 19)
    assert bytes.fromhex("ab" * 32) == parse_bytes32("0x" + "AB" * 32) == parse_bytes32("ab" * 32)


@pytest.mark.parametrize("chain_id", [0, -1])
def test_chain_id_refused(chain_id: int) -> None:
    """A chain id is positive."""
    with pytest.raises(UsageError, match="chain id"):
        Domain(chain_id, TESTNET_ENDPOINT)


def test_endpoint_refused() -> None:
    """The endpoint contract must be an address."""
    with pytest.raises(UsageError, match="endpoint contract must be 20 bytes"):
        Domain(CHAIN, "gateway")


ORDER: dict[str, Any] = {"price_x18": 1, "amount": -1, "expiration": 0, "nonce": 0, "appendix": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price_x18", 2**127),
        ("price_x18", -(2**127) - 1),
        ("price_x18", 1.0),
        ("amount", 2**127),
        ("amount", "1"),
        ("expiration", -1),
        ("expiration", 2**64),
        ("nonce", 2**64),
        ("nonce", None),
        ("appendix", 2**128),
        ("appendix", -1),
        ("appendix", 1.5),
    ],
)
def test_order_number_refused(field: str, value: Any) -> None:
    """A number that is no integer or leaves its range is refused by name, and nothing is hashed."""
    with pytest.raises(UsageError, match=f"^{field} must"):
        hash_order(SENDER, **(ORDER | {field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price_x18", 2**127 - 1),
        ("price_x18", -(2**127)),
        ("amount", 2**127 - 1),
        ("amount", -(2**127)),
        ("expiration", 2**64 - 1),
        ("nonce", 2**64 - 1),
        ("appendix", 2**128 - 1),
    ],
)
def test_order_number_at_its_bound(field: str, value: int) -> None:
    """The ends of a range belong to it."""
    assert 32 == len(hash_order(SENDER, **(ORDER | {field: value})))


@pytest.mark.parametrize("product_id", [-1, 2**32])
def test_product_id_refused(product_id: int) -> None:
    """A product id has 32 bits, wherever it stands."""
    with pytest.raises(UsageError, match="product_id must lie"):
        Domain(CHAIN, TESTNET_ENDPOINT).order_digest(product_id, bytes(32))
    with pytest.raises(UsageError, match="product_id must lie"):
        hash_cancellation_products(SENDER, [2, product_id], 1)


def test_cancellation_of_unequal_lists_refused() -> None:
    """Every digest needs its product (the venue's code 2039)."""
    with pytest.raises(UsageError, match="2 product ids for 1 digests"):
        hash_cancellation(SENDER, [2, 4], [bytes(32)], 1)


def test_cancellation_of_short_digest_refused() -> None:
    """A digest of another length would shift the bytes of the next one."""
    with pytest.raises(UsageError, match="order digest has 32 bytes, got 31"):
        hash_cancellation(SENDER, [2], [bytes(31)], 1)


def test_keccak_is_that_of_ethereum() -> None:
    """The empty string has the hash that every Ethereum client knows."""
    assert "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" == keccak256(b"").hex()
