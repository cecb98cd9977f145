"""gRPC's interoperability cases: our client against grpcio's server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.interop import grpcio_client, our_client
from tests.integration.interop.grpcio_server import grpcio_server
from tests.integration.interop.recorder import recording


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with grpcio_server() as port:
        yield port


@pytest.mark.parametrize("name", our_client.CASES)
async def test_case(name: str, port: int) -> None:
    async with recording(port) as recorder:
        await our_client.play(recorder.port, name)
        if name in our_client.COMPRESSED:
            assert (recorder.client.compressed, recorder.server.compressed) == our_client.COMPRESSED[name]
        assert set(recorder.client.values(b"grpc-accept-encoding")) == {b"identity,gzip"}
        if name.startswith("cancel"):
            assert recorder.client.resets == [8]


def test_both_ways_are_the_same_cases() -> None:
    assert list(our_client.CASES) == list(grpcio_client.CASES)
    assert len(our_client.CASES) == 18
