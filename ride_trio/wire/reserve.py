"""What all connections of a server together may hold unread beyond their windows.

A connection's window is given back when its bytes arrive, so that a call that does not read holds up no other call.
What bounds memory then? Each connection may always hold one window of unread bytes; for more it takes from this
reserve. When the reserve is empty, a connection that is over its own share gets window back only as its calls read: it
is slowed down, those that are read are not, and whoever hoards has taken all that there was to take.

What counts is memory, not bytes on the wire: a message of one byte is six on the wire and some sixty in a list.
"""

from __future__ import annotations


class Reserve:
    """The account of a server, or of one client connection.

    Args:
        size_bytes: What there is.
    """

    __slots__ = ("free_bytes", "size_bytes")

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.free_bytes = size_bytes

    def __repr__(self) -> str:
        return f"<Reserve {self.free_bytes} of {self.size_bytes} bytes free>"

    def adjust(self, held: int, wanted: int) -> int:
        """Take or give back, as far as there is; what is held then.

        Args:
            held: Bytes that the caller has of it.
            wanted: Bytes that it would have.
        """
        more = min(wanted - held, self.free_bytes)
        self.free_bytes -= more
        return held + more
