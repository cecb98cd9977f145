"""The stream below a WebSocket of trio-websocket, and what that library leaves to us.

It drops the connection without a word when it reads what is no WebSocket frame, or text that is no UTF-8, though
RFC 6455, section 7.1.7, has a close frame for that. So its `aclose` here only notes that it wants to close, and whoever
owns the stream can still send that frame, if none was sent. And it keeps the pieces of a message without counting
them, so a message of empty ones would grow for ever; hence the bound on bytes between two messages.
"""

from __future__ import annotations

from typing import Final

import trio
from wsproto.frame_protocol import FrameProtocol

# The first byte of a close frame: FIN and its opcode (RFC 6455, section 5.2).
_CLOSE_FRAME: Final = 0x88


class FrameStream(trio.abc.Stream):
    """See the module's text. Each `send_all` carries one frame, that is how the library sends.

    Args:
        inner: what the frames travel on; its owner closes it.
        max_unread: bytes that may come without there being a whole message.

    Attributes:
        said_goodbye: a close frame was sent.
        flooded: there were more bytes than that.
    """

    def __init__(self, inner: trio.abc.Stream, max_unread: int) -> None:
        self._inner = inner
        self._max_unread = max_unread
        self._unread = 0
        self._closed = False
        self.said_goodbye = False
        self.flooded = False

    def message_read(self) -> None:
        """A whole message was read: count anew."""
        self._unread = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._closed:
            raise trio.ClosedResourceError("the WebSocket is closed")
        data = bytes(await self._inner.receive_some(max_bytes))
        self._unread += len(data)
        if self._unread > self._max_unread:
            self.flooded = True
            raise trio.BrokenResourceError("too many bytes without a message")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._closed:
            raise trio.ClosedResourceError("the WebSocket is closed")
        if data and data[0] == _CLOSE_FRAME:
            self.said_goodbye = True
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self._closed = True
        await trio.lowlevel.checkpoint()

    async def say_goodbye(self, code: int, reason: str) -> None:
        """Send a close frame, if none was sent.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the connection is lost.
        """
        if not self.said_goodbye:
            self.said_goodbye = True
            await self._inner.send_all(FrameProtocol(client=False, extensions=[]).close(code, reason))
