"""Bounds of one connection, and of what all connections of a server share, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from ride_trio.wire import frames


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection accepts and holds. All sizes are bytes.

    Args:
        max_concurrent_streams: Calls a peer may have open at once on a connection; more are REFUSED_STREAM.
        stream_window: What a peer may send on a stream before its handler has worked it off.
        connection_window: The same over all streams. Given back on receipt, so that a stream that is not read holds up
            no other, as long as no more than this much is unread, and beyond that as far as `shared_unread` goes. It
            bounds what is in flight: 256 KiB are 25 Mbit/s at 80 ms.
        shared_unread: What all connections together may hold unread beyond their windows. A connection that finds no
            room gets its window back only as its calls read.
        max_message: Largest message that is taken, compressed or not; past it the call is RESOURCE_EXHAUSTED. gRPC's
            usual default is 4 MiB; log records are allowed 10 MB.
        shared_lent: What windows may be opened beyond `stream_window` for messages larger than it, all streams of all
            connections together (see `loans`): 16 MiB is one largest message and half another, so that it doesn't wait
            behind small ones; one loan larger than this is given if it is the only.
        max_header_list: Largest decoded header list of a call, as in gRPC's C core. A larger one costs its
            sender the stream, or the connection if it is beyond what a mistake could explain (see `header_blocks`).
        write_high_water: What may wait for the socket before senders have to wait, too: two typical socket buffers.
        pass_frames: Frames worked through at once at most, before other connections get their turn (64 tiny ones are
            about 0.2 ms); the shell takes fewer of those that take longer.
        max_control_backlog: Answers (acks, resets, window updates) that may wait for a peer that does not read; with
            more the connection is ended. With this much beyond `write_high_water` new calls are REFUSED_STREAM.
        patience: What a peer may waste of our work at once (see `patience`); 10 a reset stream, so 1,000 of them.
        patience_per_s: How much of it comes back with time: 100 reset streams a second, 1 % of a core.
    """

    max_concurrent_streams: int = 1_000
    stream_window: int = frames.DEFAULT_WINDOW
    connection_window: int = 262_144
    shared_unread: int = 4_194_304
    max_message: int = 10_485_760
    shared_lent: int = 16_777_216
    max_header_list: int = 16_384
    write_high_water: int = 131_072
    pass_frames: int = 64
    max_control_backlog: int = 262_144
    patience: int = 10_000
    patience_per_s: int = 1_000
