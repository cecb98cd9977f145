"""How long a connection bears a peer that makes work and brings nothing.

Every frame of such attacks is allowed: streams that are opened and reset (CVE-2023-44487), or spoiled so that we reset
them (CVE-2025-8671), pings, settings, empty frames, window updates of a byte. What gives them away is that nothing
comes of them. So each costs its sender a little of an account, about what it costs us; time and useful traffic fill it
up again, and who has used it up gets GOAWAY with ENHANCE_YOUR_CALM. Honest peers stay far from that: a reset now and
then, a ping beside messages, window updates in step with what they read.

The account knows no clock: the shell says how much time has passed.
"""

from __future__ import annotations

from typing import Final

from ride_trio.wire.errors import ConnectionFault
from ride_trio.wire.frames import ErrorCode

# A frame that only wants an answer, or none: parsed, answered, forgotten (about 3 us).
FRAME_COST: Final = 1
# A stream that ends by a reset of either side: a request decoded, a task started and cancelled, a handler's clean-up.
RESET_COST: Final = 10
# SETTINGS that move the windows of open streams: this many streams are as much work as a frame.
STREAMS_A_UNIT: Final = 8
# A header block of this size is free; beyond, so many bytes (Huffman-coded, at the worst) are as much work as a frame.
FREE_BLOCK_BYTES: Final = 1_024
BLOCK_BYTES_A_UNIT: Final = 32
# Output that the peer has not caused by control frames alone (messages, header lists): so many bytes earn back a unit.
# The smallest message is a frame of 14 bytes: it earns the window update on its stream, and a good part of another one.
BYTES_A_UNIT: Final = 8
# A smaller piece of a message, cut off by the peer's window, is but an answer to its window update: it earns nothing.
SMALLEST_PIECE_BYTES: Final = 256


class Patience:
    """The account of one connection.

    Args:
        full: Units that it can hold, and begins with.
        per_s: Units that come back a second.
    """

    __slots__ = ("_earned_to", "_full", "_per_s", "_refilled_s", "left")

    def __init__(self, full: int, per_s: int) -> None:
        self.left = full
        self._full = full
        self._per_s = per_s
        self._refilled_s = 0.0
        self._earned_to = 0

    def __repr__(self) -> str:
        return f"<Patience {self.left} of {self._full}>"

    @property
    def strained(self) -> bool:
        """Something has been spent and not come back."""
        return self.left < self._full

    def spend(self, units: int, what: str) -> None:
        """Pay for something useless.

        Args:
            units: Its cost.
            what: It, in words, for the GOAWAY of whom it was too much.

        Raises:
            ConnectionFault: The account is used up.
        """
        self.left -= units
        if self.left < 0:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too much that serves nothing; at last: {what}")

    def earn(self, sent_bytes: int) -> None:
        """What useful output has earned.

        Args:
            sent_bytes: `Outbound.said`: useful output since the connection began.
        """
        earned = (sent_bytes - self._earned_to) // BYTES_A_UNIT
        self._earned_to += earned * BYTES_A_UNIT
        self.left = min(self._full, self.left + earned)

    def refill(self, now_s: float) -> None:
        """What time has brought back.

        Args:
            now_s: On any clock, never going back.
        """
        came_back = int((now_s - self._refilled_s) * self._per_s) if self._refilled_s else 0
        # What is less than a unit yet is not lost, however often this is called.
        self._refilled_s = self._refilled_s + came_back / self._per_s if came_back else self._refilled_s or now_s
        self.left = min(self._full, self.left + came_back)
