"""Requests over HTTP: to the archive, and to the gateway while a socket stays away.

The one place that knows an HTTP library; its exceptions end here and become `ConnectionLost`.
"""

from __future__ import annotations

import time
from typing import Final

import aiohttp

from nadows.errors import ConnectionLost
from nadows.pacing import retry_after_ns

__all__ = ["Rest"]

_TOO_MANY: Final = 429
_THROTTLED: Final = b'{"status":"failure","error":"HTTP 429","error_code":1015}'
"""What a refusal of the proxy in front of the venue means, as the venue would have put it; its own is a web
page that nothing else could read (protocol.md 7)."""
_MS: Final = 1_000_000
_HEADERS: Final = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate"}


class Rest:
    """Posts JSON; made inside a running loop, and to be closed.

    An address that answers with ``Retry-After`` is left alone for that long.

    Args:
        timeout_ns: For a whole request.
    """

    def __init__(self, timeout_ns: int) -> None:
        self._refused_until_ns: dict[str, int] = {}
        self._session = aiohttp.ClientSession(
            headers=_HEADERS, timeout=aiohttp.ClientTimeout(total=timeout_ns / 10**9)
        )

    async def post(self, url: str, body: bytes) -> bytes:
        """Post *body* and return the answer's body, whatever its status: errors are told in the body too.

        Where a rate limit was exceeded and the body does not say so, one that does is put in its place.

        Raises:
            ConnectionLost: If there was no answer, or one that did not come whole in time; or if nothing was
                sent because the server has asked to be left alone.
        """
        left_ns = self._refused_until_ns.get(url, 0) - time.monotonic_ns()
        if left_ns > 0:
            raise ConnectionLost(f"{url}: the server asked to be left alone for {left_ns // _MS} ms more")
        try:
            async with self._session.post(url, data=body) as answer:
                wait_ns = retry_after_ns(answer.headers.get("Retry-After", ""))
                if wait_ns:
                    self._refused_until_ns[url] = time.monotonic_ns() + wait_ns
                read = await answer.read()
        except TimeoutError as error:
            raise ConnectionLost(f"{url}: no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLost(f"{url}: {error}") from error
        return _THROTTLED if answer.status == _TOO_MANY and b"error_code" not in read else read

    async def close(self) -> None:
        """Give up what is on its way and free the connections; idempotent."""
        await self._session.close()
