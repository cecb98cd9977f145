"""Reads a running server's metrics as Prometheus would: over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from urllib.request import urlopen

import trio
from prometheus_client.parser import text_string_to_metric_families

from ride_trio_cli.server_process import ServerProcess


def _get(url: str) -> str:
    with urlopen(url, timeout=5) as answer:
        return answer.read().decode()  # type: ignore[no-any-return]


async def metric(server: ServerProcess, name: str, **labels: str) -> float:
    """A sample's value, 0 if there is none."""
    text = await trio.to_thread.run_sync(_get, f"http://{server.metrics}/metrics")
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return 0.0


async def becomes(
    server: ServerProcess, condition: Callable[[float], bool], seconds: float, name: str, **labels: str
) -> float:
    """Scrape until a condition holds on a sample.

    Returns:
        How long that took, s.

    Raises:
        trio.TooSlowError: it did not within `seconds`.
    """
    began = trio.current_time()
    with trio.fail_after(seconds):
        while not condition(await metric(server, name, **labels)):  # noqa: ASYNC110 - of another process
            await trio.sleep(0.02)
    return trio.current_time() - began
