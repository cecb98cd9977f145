"""Puppet on grpcio's asyncio API. See README.md."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64decode, b64encode
from typing import Any

import grpc

CONNECT = "/ride.v1.RideStreamService/Connect"


def say(**row: Any) -> None:
    print(json.dumps(row), flush=True)


async def read(who: str, call: Any) -> None:
    try:
        while (answer := await call.read()) is not grpc.aio.EOF:
            say(who=who, got=b64encode(answer).decode())
    except (grpc.aio.AioRpcError, asyncio.CancelledError):
        pass
    say(who=who, code=(await call.code()).value[0], details=await call.details())


async def orders() -> Any:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield json.loads(line)


async def main() -> None:
    calls: dict[str, Any] = {}
    tasks = []
    async with grpc.aio.insecure_channel(sys.argv[1]) as channel:
        async for order in orders():
            who = order["who"]
            if "open" in order:
                calls[who] = channel.stream_stream(CONNECT)(metadata=(("user-id", order["open"]),))
                tasks.append(asyncio.create_task(read(who, calls[who])))
            elif "send" in order:
                await calls[who].write(b64decode(order["send"]))
            elif "half_close" in order:
                await calls[who].done_writing()
            else:
                calls[who].cancel()


asyncio.run(main())
