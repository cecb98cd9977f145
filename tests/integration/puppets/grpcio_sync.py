"""Puppet on grpcio's synchronous API. See README.md."""

from __future__ import annotations

import json
import queue
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import grpc

CONNECT = "/ride.v1.RideStreamService/Connect"
_END = object()
_lock = threading.Lock()


def say(**row: Any) -> None:
    with _lock:
        print(json.dumps(row), flush=True)


class Stream:
    def __init__(self, channel: grpc.Channel, who: str, user_id: str) -> None:
        self.who = who
        self.queue: queue.Queue[Any] = queue.Queue()
        self.call = channel.stream_stream(CONNECT, None, None)(self.requests(), metadata=[("user-id", user_id)])
        threading.Thread(target=self.read, daemon=True).start()

    def requests(self) -> Iterator[bytes]:
        while (item := self.queue.get()) is not _END:
            yield item

    def read(self) -> None:
        try:
            for answer in self.call:
                say(who=self.who, got=b64encode(answer).decode())
        except grpc.RpcError:
            pass
        say(who=self.who, code=self.call.code().value[0], details=self.call.details())


def main() -> None:
    streams: dict[str, Stream] = {}
    with grpc.insecure_channel(sys.argv[1]) as channel:
        for line in sys.stdin:
            order = json.loads(line)
            who = order["who"]
            if "open" in order:
                streams[who] = Stream(channel, who, order["open"])
            elif "send" in order:
                streams[who].queue.put(b64decode(order["send"]))
            elif "half_close" in order:
                streams[who].queue.put(_END)
            else:
                streams[who].call.cancel()


main()
