"""One stream of a connection: its state, its flow-control windows, and the gRPC messages cut out of its bytes.

Inbound bytes go through three places, and are `held` until the call gives them back to the peer's window:

    DATA payload -> partial (an unfinished message) -> inbox (whole messages) -> taken by the call

A message larger than the window could never arrive, because the call cannot take half a message. So when a length
prefix announces more than the peer may still send, the window is opened by what is missing (a loan), and the first
bytes given back afterwards pay it off. At any time

    recv_window (may still come) + held + to_credit (taken, not given back yet) = full_window + loan

so no byte of a window is ever lost, and what is held is not counted but follows from the rest. `loans` bounds the loans
of all streams together.

A stream takes DATA in one of two ways. Nearly all do it in the connection's loop (`flows`); one that has announced its
length, or whose bytes nobody wants, is looked after frame by frame (`counted`), so that the loop need not ask.
"""

from __future__ import annotations

from typing import Any, Final

from ride_trio.wire import frames
from ride_trio.wire.errors import StreamFault
from ride_trio.wire.frames import PREFIX, PREFIX_BYTES, ErrorCode
from ride_trio.wire.states import CLOSED, HALF_CLOSED_REMOTE, IDLE, RECV_END, Input, step

# gRPC status numbers, https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
_RESOURCE_EXHAUSTED = 8
_INTERNAL = 13
# Messages of a frame that are cut out at once: it holds 3,276 empty ones, which would be 3 ms.
MESSAGES_AT_ONCE: Final = 512

# Message encodings that calls can read; whoever takes a message decodes it.
ENCODINGS: Final = ("identity", "gzip")


class Compressed(bytes):
    """A message as it came, to be decoded by its call's `encoding`; all others are plain bytes."""

    __slots__ = ()


class Stream:
    """See the module's text. `owner` belongs to whoever drives the connection."""

    __slots__ = (
        "counted",
        "encoding",
        "expected",
        "failure",
        "final",
        "flows",
        "full_window",
        "id",
        "inbox",
        "loan",
        "needed",
        "overhead",
        "owner",
        "partial",
        "pending",
        "queued",
        "recv_window",
        "remote_ended",
        "send_window",
        "state",
        "to_credit",
        "wants",
    )

    def __init__(self, stream_id: int, recv_window: int, send_window: int) -> None:
        self.id = stream_id
        self.state = IDLE
        self.owner: Any = None
        self.flows = False  # DATA may come: not before the peer's headers, nor after its end or a reset
        self.counted = False  # the same, for a stream that is not in a hurry
        self.expected: int | None = None  # bytes of DATA that its content-length still promises
        self.full_window = recv_window
        self.recv_window = recv_window
        self.send_window = send_window
        self.inbox: list[bytes] = []
        self.partial: bytearray | None = None
        self.needed = PREFIX_BYTES
        self.to_credit = 0
        self.overhead = 0  # bytes that messages which the call works on take in memory beyond those on the wire
        self.loan = 0
        self.encoding = "identity"
        self.remote_ended = False
        self.failure: tuple[int, str] | None = None
        self.queued = False  # in the connection's list of streams with news
        self.wants = False  # has something to write that could not go out at once
        self.pending: bytearray | None = None  # framed messages that no window has let out yet
        # What is to end our side after `pending`: trailers' header block, or b"" for a bare END_STREAM.
        self.final: bytes | None = None

    def __repr__(self) -> str:
        return f"<Stream {self.id} {self.state.value}, {len(self.inbox)} messages, window {self.send_window}>"

    def happened(self, happened: Input) -> None:
        """Move on in the state table."""
        self.state = state = step(self.state, happened, self.id)
        if state is HALF_CLOSED_REMOTE or state is CLOSED:
            self.flows = self.counted = False

    @property
    def held(self) -> int:
        """Bytes of messages and parts of messages that have arrived and are not taken."""
        return self.full_window + self.loan - self.recv_window - self.to_credit

    def take(self) -> list[bytes]:
        """All whole messages that have arrived, oldest first; the caller credits their bytes."""
        messages, self.inbox = self.inbox, []
        return messages

    @property
    def takeable(self) -> int:
        """Bytes that `take()` frees."""
        return self.held - len(self.partial) if self.partial else self.held

    def assemble(self, data: bytes, max_message: int) -> bool:
        """Cut a DATA payload into messages. Trouble goes into `failure`; what follows it is dropped.

        Returns:
            True if there are more messages in it than are cut at once: go on with `assemble(b"")` before anything else.
        """
        if self.failure is not None:
            return False
        partial = self.partial
        if partial is not None:
            partial += data
            if len(partial) < self.needed:
                return False
            data, self.partial = bytes(partial), None
        position, end, needed = 0, len(data), PREFIX_BYTES
        unpack, append, last = PREFIX.unpack_from, self.inbox.append, end - PREFIX_BYTES
        left = MESSAGES_AT_ONCE
        while position <= last and left:
            left -= 1
            flag, length = unpack(data, position)
            if length > max_message or (flag and (flag > 1 or self.encoding == "identity")):
                self.give_up(self._refusal(flag, length, max_message))
                return False
            start = position + PREFIX_BYTES
            stop = start + length
            if stop > end:
                needed = PREFIX_BYTES + length
                break
            append(Compressed(data[start:stop]) if flag else data[start:stop])
            position = stop
        self.needed = needed
        if position < end:
            self.partial = bytearray(data[position:])
        return not left and position <= last

    def give_up(self, failure: tuple[int, str]) -> None:
        """The messages cannot be read any further: what has come whole is, the rest is dropped."""
        self.failure = failure
        self.partial = bytearray()  # an unfinished message for ever: nothing is whole any more

    def _refusal(self, flag: int, length: int, max_message: int) -> tuple[int, str]:
        if flag:
            return _INTERNAL, f"compressed-flag {flag} of a message with grpc-encoding {self.encoding!r}"
        return _RESOURCE_EXHAUSTED, f"message of {length} bytes is larger than the limit of {max_message}"

    def ended_by_peer(self) -> None:
        """END_STREAM has come.

        Raises:
            StreamFault: It is not what its content-length has promised (RFC 9113, section 8.1.1).
        """
        if self.expected:
            raise StreamFault(
                self.id, ErrorCode.PROTOCOL_ERROR, f"ends {self.expected} bytes before its content-length"
            )
        self.happened(RECV_END)
        self.remote_ended = True
        if self.partial is not None and self.failure is None:
            missing = self.needed - len(self.partial)
            self.failure = (_INTERNAL, f"the stream ended {missing} bytes before the end of a message")

    def shortage(self) -> int:
        """Bytes by which the peer's window is too small to finish the message it has begun."""
        if self.partial is None or self.failure is not None:
            return 0
        return max(0, self.needed - len(self.partial) - self.recv_window)

    def expect(self, size: int) -> None:
        """DATA of this size has come: hold it against the content-length.

        Raises:
            StreamFault: It is more than was promised.
        """
        if self.expected is not None:
            self.expected -= size
            if self.expected < 0:
                raise StreamFault(self.id, ErrorCode.PROTOCOL_ERROR, "more DATA than its content-length")

    def window_moved(self, delta: int) -> bool:
        """Change the send window (WINDOW_UPDATE, SETTINGS); False if it left the allowed range."""
        self.send_window += delta
        return self.send_window <= frames.MAX_WINDOW
