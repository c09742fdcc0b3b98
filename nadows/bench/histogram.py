"""High dynamic range histograms: a distribution that travels in HdrHistogram's form.

The blobs, and with them ``.hlog`` and ``.hgrm`` files, are read by its tools. The package ``hdrhistogram`` is
used for its codec alone: its recording is slow, and drops what is out of range.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from hdrh.histogram import HdrHistogram

from nadows.distribution import (
    HIGHEST_NS,
    SUB_BITS,
    TAIL_SAMPLES,
    Bucket,
    Distribution,
    enough_samples,
)
from nadows.errors import UsageError

__all__ = ["HIGHEST_NS", "TAIL_SAMPLES", "Bucket", "Histogram", "enough_samples"]

_DIGITS: Final = 3


class Histogram(Distribution):
    """A distribution of nanoseconds that can be encoded."""

    __slots__ = ()

    SUB_BUCKETS: Final = 1 << SUB_BITS
    ENCODED_BUCKETS: Final = HIGHEST_NS.bit_length() - SUB_BITS + 1

    def encode(self) -> str:
        """Return HdrHistogram's V2 blob (zlib, base64: begins with ``HISTFAAAA``)."""
        coded = _empty()
        for index, count in self._counts.items():
            coded.counts[index] = count
        coded.total_count = self.count
        coded.min_value, coded.max_value = self.minimum, self.maximum
        blob: bytes = coded.encode()
        return blob.decode()

    @classmethod
    def decode(cls, blob: str, exact: Mapping[str, int] | None = None) -> Histogram:
        """Read what `encode` wrote.

        Args:
            blob: Of a histogram with our settings.
            exact: ``min``, ``max`` and ``sum`` as they were carried beside the blob, which itself has them
                only to the precision of its buckets.

        Raises:
            UsageError: If the blob is damaged or has other settings.
        """
        try:
            coded = HdrHistogram.decode(blob.encode())
        except Exception as error:  # the package raises whatever ctypes, zlib and base64 raise
            raise UsageError(f"this is not an encoded histogram: {error}") from error
        settings = (coded.lowest_trackable_value, coded.highest_trackable_value, coded.significant_figures)
        if settings != (1, HIGHEST_NS, _DIGITS):
            raise UsageError(
                "histograms add up only with equal settings (lowest, highest, digits): "
                f"expected {(1, HIGHEST_NS, _DIGITS)}, got {settings}"
            )
        whole = cls()
        whole._counts = Counter({index: count for index, count in enumerate(coded.counts) if count})
        whole.count = sum(whole._counts.values())
        buckets = list(whole.buckets())
        if buckets:
            whole.minimum, whole.maximum = buckets[0].low, buckets[-1].high
            whole.total = sum((bucket.low + bucket.high) // 2 * bucket.samples for bucket in buckets)
        if exact is not None:
            whole.minimum, whole.maximum, whole.total = exact["min"], exact["max"], exact["sum"]
        return whole


def _empty() -> HdrHistogram:
    return HdrHistogram(1, HIGHEST_NS, _DIGITS)
