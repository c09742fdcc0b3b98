"""The signing vectors of the official SDK, as the tests of this package need them."""

import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent.parent / "data" / "eip712_vectors.json"

DATA: dict[str, Any] = json.loads(_FILE.read_text())
VECTORS: list[dict[str, Any]] = DATA["vectors"]
KEY_A: str = DATA["keys"]["key_a"]["private_key"]
KEY_B: str = DATA["keys"]["key_b"]["private_key"]
ADDRESS_A: str = DATA["keys"]["key_a"]["address"]
TESTNET_ENDPOINT: str = DATA["endpoint_addresses"]["testnet_763373"]


def vector(name: str) -> dict[str, Any]:
    """Return the vector of that id."""
    return next(each for each in VECTORS if each["id"] == name)


def wired(primary_type: str) -> list[dict[str, Any]]:
    """Return the vectors of that type that also say how the request is sent."""
    return [each for each in VECTORS if each["primary_type"] == primary_type and "wire" in each]


def name_of(each: dict[str, Any]) -> str:
    """Return the id of a vector, for pytest."""
    return str(each["id"])
