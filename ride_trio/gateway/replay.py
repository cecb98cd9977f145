"""A stream that remembers what was read of it, so that somebody else can begin at the beginning."""

from __future__ import annotations

import trio


class ReplayStream(trio.abc.Stream):
    """Reads of another stream, and can be rewound once.

    Args:
        inner: the other one.
        before: was read of it already, and comes first after `rewind`.
    """

    def __init__(self, inner: trio.abc.Stream, before: bytes = b"") -> None:
        self.inner = inner
        self._kept: bytearray | None = bytearray(before)  # None: nothing is kept any more
        self._again = b""

    def forget(self) -> None:
        """It won't be rewound."""
        self._kept = None

    def rewind(self) -> None:
        """Begin again with what has been read; from then on nothing is kept."""
        self._again, self._kept = bytes(self._kept or b""), None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._again:
            await trio.lowlevel.checkpoint()
            size = len(self._again) if max_bytes is None else max_bytes
            data, self._again = self._again[:size], self._again[size:]
            return data
        data = bytes(await self.inner.receive_some(max_bytes))
        if self._kept is not None:
            self._kept += data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.inner.aclose()
