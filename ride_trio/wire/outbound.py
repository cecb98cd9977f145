"""The writing half of a connection: frames in order, flow control, and who may write next.

`output` collects bytes until the shell takes them with `take_output()`. A message goes there at once if the stream's
window, the connection's window and the buffer (`write_high_water`) have room; what has not goes to `stream.pending`,
and the stream into the line `waiting`. The line is worked off round robin, a frame each, when a window opens or the
socket has taken the buffer (`uncork`). A stream that has got rid of everything shows up in `writable` once, so that
its sender can go on.

Trailers wait behind pending messages (`stream.final`). Header blocks carry no state (see `hpack`), so they may be
built long before they are sent. A stream that both sides have ended is dropped from `streams` here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ride_trio.wire import frames, headers
from ride_trio.wire.errors import LocalError
from ride_trio.wire.frames import DATA, END_STREAM, HEADER_AND_PREFIX, HEADER_BYTES, PREFIX, PREFIX_BYTES, ErrorCode
from ride_trio.wire.hpack import TABLE_SIZE_0
from ride_trio.wire.limits import Limits
from ride_trio.wire.loans import Loans
from ride_trio.wire.patience import SMALLEST_PIECE_BYTES
from ride_trio.wire.settings import PeerSettings
from ride_trio.wire.states import CLOSED, HALF_CLOSED_REMOTE, SEND_END, SEND_HEADERS, SEND_RST
from ride_trio.wire.stream import Stream

# Peers may allow frames of 16 MiB. What goes out in one frame delays all other streams: 64 KiB are 5 ms at 100 Mbit/s.
_LARGEST_SENT_BYTES: Final = 65_536
# Bound once: the header of every message is made by it. A DATA frame's type and flags are 0.
_pack: Final = HEADER_AND_PREFIX.pack
_pack_header: Final = frames.HEADER.pack


class Outbound:
    """See the module's text. `corked` is the shell's: True while the socket has not taken earlier output.

    Attributes:
        size: Bytes in `output`.
        loans: What is lent to streams beyond their windows, here and on other connections.
        answers: Bytes among them that the peer has caused without our asking: acks, resets, window updates, and the
            smallest pieces of messages.
        said: All other bytes taken from `output` so far.
        pending_bytes: What waits in streams' `pending`.
        taken: Received bytes that calls have worked off or that went with their streams.
        lent_bytes: What our streams have been lent and not paid back.
        borrowers: Streams that have a loan or wait for one, by id; some may have paid by now.
        lent: The shell's: called when a loan for one of our streams was queued, maybe from another connection's pass.
    """

    __slots__ = (
        "answers",
        "borrowers",
        "corked",
        "high_water",
        "lent",
        "lent_bytes",
        "loans",
        "max_frame",
        "output",
        "peer",
        "pending_bytes",
        "said",
        "size",
        "streams",
        "taken",
        "waiting",
        "window",
        "writable",
    )

    def __init__(self, limits: Limits, loans: Loans, streams: dict[int, Stream]) -> None:
        self.output: list[bytes] = []
        self.size = 0
        self.answers = 0
        self.said = 0
        self.pending_bytes = 0
        self.taken = 0
        self.lent: Callable[[], None] = nobody_to_tell
        self.lent_bytes = 0
        self.borrowers: dict[int, Stream] = {}
        self.high_water = limits.write_high_water
        self.loans = loans
        self.window = frames.DEFAULT_WINDOW
        self.peer = PeerSettings()
        self.max_frame = self.peer.max_frame_size
        self.corked = False
        self.streams = streams
        self.waiting: OrderedDict[int, Stream] = OrderedDict()
        self.writable: list[Stream] = []

    def apply_settings(self, payload: bytes, *, from_server: bool) -> int:
        """Take over the peer's SETTINGS.

        Returns:
            By how much the windows of open streams move.
        """
        peer = self.peer
        window = peer.initial_window_size
        peer.apply(payload, from_server=from_server)
        self.max_frame = min(peer.max_frame_size, _LARGEST_SENT_BYTES)
        return peer.initial_window_size - window

    def control(self, data: bytes) -> None:
        """Queue frames that flow control does not bind."""
        self.output.append(data)
        self.size += len(data)

    def answer(self, data: bytes) -> None:
        """Queue frames that the peer has caused: whoever reads its frames keeps `answers` bounded."""
        self.answers += len(data)
        self.control(data)

    def take_output(self) -> bytes:
        """All bytes to write, in order; empty if there are none."""
        data = b"".join(self.output)
        self.output.clear()
        self.said += self.size - self.answers
        self.size = self.answers = 0
        return data

    def room(self, stream: Stream) -> int:
        """Bytes of messages, with their prefixes, that one frame on the stream could hold now; 0 or less: none."""
        if self.corked or stream.pending:
            return 0
        return min(stream.send_window, self.window, self.max_frame, self.high_water - self.size)

    def send_message(self, stream: Stream, payload: bytes, compressed: int = 0) -> bool:
        """Send one serialized message on a stream that is open to us.

        Args:
            stream: It.
            payload: The message.
            compressed: 1 if it is, with the encoding that our headers have named.

        Returns:
            True if all of it is in `output`; False if some waits for a window: the stream will be in `writable`.
        """
        return self.send_whole(stream, payload, compressed) or self._send_later(stream, payload, compressed)

    def send_whole(self, stream: Stream, payload: bytes, compressed: int = 0) -> bool:
        """Like `send_message`, if windows and buffer have room for all of it; else False, and nothing is sent."""
        size = len(payload) + PREFIX_BYTES
        if (
            size <= stream.send_window
            and size <= self.window
            and size <= self.max_frame
            and self.size < self.high_water
            and not self.corked
            and not stream.pending
        ):
            self.output.append(_pack(size << 8, 0, stream.id, compressed, len(payload)))
            self.output.append(payload)
            stream.send_window -= size
            self.window -= size
            self.size += size + HEADER_BYTES
            return True
        return False

    def send_messages(self, stream: Stream, messages: list[bytes], size: int) -> None:
        """Send serialized messages, as many as can be in one frame.

        Args:
            stream: It is open to us.
            messages: They.
            size: Of all, with their prefixes.
        """
        if len(messages) > 1:
            room = self.room(stream)
            behind = [messages.pop()] if size > room else []
            size -= sum(map(len, behind)) + len(behind) * PREFIX_BYTES
            if size <= room:
                self.output.append(_pack_header(size << 8, 0, stream.id))
                for message in messages:
                    self.output += (PREFIX.pack(0, len(message)), message)
                stream.send_window -= size
                self.window -= size
                self.size += size + HEADER_BYTES
                messages = behind
            else:
                messages += behind
        for message in messages:
            self.send_message(stream, message)

    def _send_later(self, stream: Stream, payload: bytes, compressed: int) -> bool:
        if stream.final is not None:
            raise LocalError(f"stream {stream.id} is ended already")
        if stream.pending is None:
            stream.pending = bytearray()
        stream.pending += PREFIX.pack(compressed, len(payload))
        stream.pending += payload
        self.pending_bytes += PREFIX_BYTES + len(payload)
        self.want_write(stream)
        self.resume()
        return not stream.pending

    def send_last(self, stream: Stream, data: bytes) -> None:
        """Send plain bytes, no message, and end our side with them."""
        stream.pending, stream.final = bytearray(data), b""
        self.pending_bytes += len(data)
        self.want_write(stream)
        self.resume()

    def want_write(self, stream: Stream) -> None:
        """Ask for a turn; the stream is in `writable` when it has had it and nothing of it is pending."""
        stream.wants = True
        self.line_up(stream)

    def line_up(self, stream: Stream) -> None:
        """Put a stream that wants to write into the line, if its window is open (it has just opened, perhaps)."""
        if stream.wants and stream.send_window > 0:
            self.waiting.setdefault(stream.id, stream)

    def resume(self) -> None:
        """Let the waiting streams write, a frame each in turn, as far as windows and buffer go."""
        waiting = self.waiting
        while waiting and self.window > 0 and self.size < self.high_water and not self.corked:
            _, stream = waiting.popitem(last=False)
            if stream.send_window > 0:
                self._write_some(stream)

    def _write_some(self, stream: Stream) -> None:
        pending = stream.pending
        if pending:
            size = min(len(pending), stream.send_window, self.window, self.max_frame)
            last = size == len(pending) and stream.final == b""
            cut_small = size < SMALLEST_PIECE_BYTES and size < len(pending)
            say = self.answer if cut_small else self.control
            say(frames.frame(DATA, END_STREAM if last else 0, stream.id, bytes(pending[:size])))
            del pending[:size]
            self.pending_bytes -= size
            stream.send_window -= size
            self.window -= size
            if pending:
                self.line_up(stream)
                return
            if last:
                self._ended(stream)
        stream.wants = False
        stream.pending = None
        if stream.final is not None:
            self._end(stream, stream.final)
        self.writable.append(stream)

    def uncork(self) -> None:
        """The socket has taken everything: senders may go on."""
        self.corked = False
        self.resume()

    def send_headers(self, stream: Stream, block: bytes, *, end: bool = False) -> None:
        """Send a header block that is not the stream's last, or with `end` its only one."""
        stream.happened(SEND_HEADERS)
        if self.peer.table_shrunk:
            self.peer.table_shrunk = False
            block = TABLE_SIZE_0 + block
        self.control(frames.headers_frames(stream.id, block, end_stream=end, max_frame=self.max_frame))
        if end:
            stream.happened(SEND_END)

    def answer_whole(self, stream: Stream, block: bytes, payload: bytes, trailers: bytes) -> bool:
        """Headers, one message and trailers at once, on a stream whose peer has ended.

        Returns:
            False if windows, the buffer or the peer's settings are in the way: nothing is sent then.
        """
        size = len(payload) + PREFIX_BYTES
        if (
            size > min(stream.send_window, self.window, self.max_frame)
            or self.size >= self.high_water
            or self.corked
            or self.peer.table_shrunk
            or stream.state is not HALF_CLOSED_REMOTE
            or len(trailers) + len(block) > headers.SMALL_BLOCK_BYTES
            or self.peer.max_header_list_size < headers.LARGEST_TRAILERS_BYTES
        ):
            return False
        number = stream.id
        head = _pack_header(len(block) << 8 | frames.HEADERS, frames.END_HEADERS, number)
        message = _pack(size << 8, 0, number, 0, len(payload))
        tail = _pack_header(len(trailers) << 8 | frames.HEADERS, frames.END_HEADERS | END_STREAM, number)
        self.control(b"".join((head, block, message, payload, tail, trailers)))
        stream.send_window -= size
        self.window -= size
        stream.happened(SEND_END)
        self.forget(stream)
        return True

    def end(self, stream: Stream, trailers: bytes = b"") -> None:
        """End our side: with a trailers block, or without one by an empty DATA frame, after what is pending."""
        if stream.final is not None:
            raise LocalError(f"stream {stream.id} is ended already")
        if trailers and self.peer.max_header_list_size < headers.LARGEST_TRAILERS_BYTES:
            trailers = headers.fitted(trailers, self.peer.max_header_list_size)
        if stream.pending:
            stream.final = trailers
        else:
            self._end(stream, trailers)

    def _end(self, stream: Stream, trailers: bytes) -> None:
        self.drop_pending(stream)
        if trailers:
            self.send_headers(stream, trailers, end=True)
            if stream.state is CLOSED:
                self.forget(stream)
        else:
            self.control(frames.frame(DATA, END_STREAM, stream.id))
            self._ended(stream)

    def _ended(self, stream: Stream) -> None:
        """END_STREAM is on its way with DATA."""
        self.drop_pending(stream)
        stream.happened(SEND_END)
        if stream.state is CLOSED:
            self.forget(stream)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """RST_STREAM; what was pending is dropped."""
        stream.happened(SEND_RST)
        self.drop_pending(stream)
        self.answer(frames.rst_stream_frame(stream.id, code))
        self.forget(stream)

    def drop_pending(self, stream: Stream) -> None:
        """The stream will not write again."""
        self.pending_bytes -= len(stream.pending or b"")
        stream.pending = stream.final = None
        stream.wants = False
        self.waiting.pop(stream.id, None)

    def forget(self, stream: Stream) -> None:
        """Drop a stream that is closed; what it had borrowed goes to those who wait."""
        if self.streams.pop(stream.id, None) is not None:
            self.taken += stream.held
            self.lent_bytes -= stream.loan
            self.borrowers.pop(stream.id, None)
            self.loans.drop(stream)
            self.loans.lend_on()

    def credit(self, stream: Stream, size: int, threshold: int) -> None:
        """Give back bytes that the call has worked off; a WINDOW_UPDATE goes out for `threshold` of them together."""
        if stream.state is CLOSED:
            return  # they went with the stream
        self.taken += size
        if stream.loan:
            paid = min(stream.loan, size)
            stream.loan -= paid
            size -= paid
            self.lent_bytes -= paid
            self.loans.paid(stream, paid)
        stream.to_credit += size
        if stream.to_credit >= threshold:
            self._give_back(stream)
        elif stream in self.loans.line:
            self.borrow(stream)

    def _give_back(self, stream: Stream) -> None:
        if stream.to_credit and (stream.flows or stream.counted):
            self.answer(frames.window_update_frame(stream.id, stream.to_credit))
            stream.recv_window += stream.to_credit
            stream.to_credit = 0

    def borrow(self, stream: Stream) -> None:
        """See that the rest of the message that has begun can come: now, or when it is this stream's turn."""
        if stream.shortage():
            self._give_back(stream)  # first what is its own: what fits into a window never waits for a loan
            shortage = stream.shortage()
            if shortage:
                self.borrowers[stream.id] = stream
                if self.loans.ask(stream, self, shortage):
                    self.lend(stream, shortage)

    def forget_repaid(self) -> None:
        """Keep only those that still have a loan or wait for one."""
        for stream in [s for s in self.borrowers.values() if not self.loans.concerns(s)]:
            del self.borrowers[stream.id]

    def lend(self, stream: Stream, size: int) -> None:
        """Open the window for the rest of a message that would not fit into it."""
        self.loans.lend(stream, size)
        stream.loan += size
        self.lent_bytes += size
        stream.recv_window += size
        self.answer(frames.window_update_frame(stream.id, size))
        self.lent()


def nobody_to_tell() -> None:
    """Without a shell nobody has to be told that there is output."""
