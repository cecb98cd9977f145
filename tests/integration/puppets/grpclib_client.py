"""Puppet on grpclib. See README.md."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64decode, b64encode
from typing import Any

from grpclib.client import Channel, StreamStreamMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope

CONNECT = "/ride.v1.RideStreamService/Connect"


def say(**row: Any) -> None:
    print(json.dumps(row), flush=True)


async def run(channel: Channel, who: str, user_id: str, inbox: asyncio.Queue[Any]) -> None:
    code, details = 0, ""
    try:
        method = StreamStreamMethod(channel, CONNECT, ClientEnvelope, ServerEnvelope)
        async with method.open(metadata={"user-id": user_id}) as stream:
            await stream.send_request()
            writer = asyncio.create_task(write(stream, inbox))
            try:
                async for answer in stream:
                    say(who=who, got=b64encode(answer.SerializeToString()).decode())
            finally:
                writer.cancel()
    except GRPCError as error:
        code, details = error.status.value, error.message or ""
    except (asyncio.CancelledError, StreamTerminatedError):
        code = 1
    say(who=who, code=code, details=details)


async def write(stream: Any, inbox: asyncio.Queue[Any]) -> None:
    while (data := await inbox.get()) is not None:
        await stream.send_message(ClientEnvelope.FromString(data))
    await stream.end()


async def orders() -> Any:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield json.loads(line)


async def main() -> None:
    host, port = sys.argv[1].split(":")
    inboxes: dict[str, asyncio.Queue[Any]] = {}
    tasks: dict[str, asyncio.Task[None]] = {}
    async with Channel(host, int(port)) as channel:
        async for order in orders():
            who = order["who"]
            if "open" in order:
                inboxes[who] = asyncio.Queue()
                tasks[who] = asyncio.create_task(run(channel, who, order["open"], inboxes[who]))
            elif "send" in order:
                inboxes[who].put_nowait(b64decode(order["send"]))
            elif "half_close" in order:
                inboxes[who].put_nowait(None)
            else:
                tasks[who].cancel()


asyncio.run(main())
