"""Puppet on stock purerpc: its own channel and its generated stub. See README.md."""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from typing import Any

import purerpc
import trio

from ride_trio.pb.ride.v1.ride_grpc import RideStreamServiceStub
from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope


def say(**row: Any) -> None:
    print(json.dumps(row), flush=True)


async def run(channel: Any, who: str, user_id: str, inbox: trio.MemoryReceiveChannel[bytes]) -> None:
    async def requests() -> Any:
        async for data in inbox:
            yield ClientEnvelope.FromString(data)

    code, details = 0, ""
    try:
        async for answer in RideStreamServiceStub(channel).Connect(requests(), metadata=(("user-id", user_id),)):
            say(who=who, got=b64encode(answer.SerializeToString()).decode())
    except* purerpc.RpcFailedError as group:
        error: Any = group.exceptions[0]
        code, details = error.status.int_value, error.status.status_message
    say(who=who, code=code, details=details)


async def main() -> None:
    host, port = sys.argv[1].split(":")
    inboxes: dict[str, trio.MemorySendChannel[bytes]] = {}
    lines = trio.lowlevel.FdStream(sys.stdin.fileno())
    pending = b""
    async with purerpc.insecure_channel(host, int(port)) as channel, trio.open_nursery() as nursery:
        async for chunk in lines:
            *whole, pending = (pending + chunk).split(b"\n")
            for line in whole:
                order = json.loads(line)
                who = order["who"]
                if "open" in order:
                    inboxes[who], receive = trio.open_memory_channel[bytes](1000)
                    nursery.start_soon(run, channel, who, order["open"], receive)
                elif "send" in order:
                    inboxes[who].send_nowait(b64decode(order["send"]))
                else:
                    inboxes[who].close()
        nursery.cancel_scope.cancel()


trio.run(main)
