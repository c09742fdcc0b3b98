"""Which of several connections carries which product."""

from __future__ import annotations

from nadows.errors import UsageError
from nadows.messages import Stream

__all__ = ["Placement"]


class Placement:
    """Spreads streams over connections, product by product.

    All streams of a product go the same way, so that what is said of it keeps its order, and each new product
    goes where the fewest are. What concerns no single product, and everything private, goes over the first.

    Args:
        connections: How many there are.

    Raises:
        UsageError: If there is none.
    """

    def __init__(self, connections: int) -> None:
        if connections < 1:
            raise UsageError(f"a pool needs at least 1 connection, got {connections}")
        self.products: list[list[int]] = [[] for _ in range(connections)]
        """Products of each connection, in the order in which they came."""
        self._of: dict[int, int] = {}

    def of_product(self, product_id: int) -> int:
        """Return the connection of a product; it gets one if it has none."""
        number = self._of.get(product_id)
        if number is None:
            number = min(range(len(self.products)), key=lambda each: len(self.products[each]))
            self._of[product_id] = number
            self.products[number].append(product_id)
        return number

    def of(self, stream: Stream) -> int:
        """Return the connection of a stream."""
        key = stream.key
        if key.product_id is None or key.subaccount is not None:
            return 0
        return self.of_product(key.product_id)
