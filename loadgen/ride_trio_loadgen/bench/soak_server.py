"""The server of `bench soak`: echoes, with ages so short that every connection meets them.

    python -m ride_trio_loadgen.bench.soak_server

prints its port and answers the questions of `questions.py`, and those about what is left: tasks, connections, calls,
streams, and what connections hold of the memory that they share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ride_trio.app import tune_gc
from ride_trio.rpc import Keepalive, Server
from ride_trio_loadgen.bench.echo_trio import coroutines, service_of
from ride_trio_loadgen.bench.questions import ready

# Idle connections are sent away after this; a soak's workers wait for that now and then.
MAX_IDLE_S: Final = 2.0
# So are those that are older than this; few workers stay longer.
MAX_AGE_S: Final = 3.0
GRACE_S: Final = 3.0
KEEPALIVE: Final = Keepalive(
    time_s=0.5, timeout_s=5, max_idle_s=MAX_IDLE_S, max_age_s=MAX_AGE_S, max_age_grace_s=GRACE_S
)


async def main() -> None:
    server = Server(0, host="127.0.0.1", keepalive=KEEPALIVE)
    server.add_service(service_of(coroutines()))
    token = trio.lowlevel.current_trio_token()

    def ask(question: Callable[[], int]) -> Callable[[], int]:
        return lambda: trio.from_thread.run_sync(question, trio_token=token)

    async with trio.open_nursery() as nursery:
        port = await nursery.start(server.serve_async)
        tune_gc()
        ready(
            port,
            tasks=ask(lambda: trio.lowlevel.current_statistics().tasks_living),
            connections=ask(lambda: server.statistics().connections),
            calls=ask(lambda: server.statistics().calls),
            streams=ask(lambda: server.statistics().streams),
            held=ask(lambda: server.statistics().held_bytes),
        )


if __name__ == "__main__":
    trio.run(main)
