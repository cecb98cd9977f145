"""Envelopes as messages: what is decoded, and what is remembered of what was encoded."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from ride_trio.gateway.codecs import CODECS, MAX_REMEMBERED_BYTES, UndecodableError
from ride_trio.pb.ride.v1.ride_pb2 import Ack, BroadcastEvent, CityView, ServerEnvelope

JSON, BINARY = CODECS["ride.v1.json"], CODECS["ride.v1.proto"]


def test_a_position_is_made_json_of_once_for_all_who_hear_it() -> None:
    data = ServerEnvelope(broadcast_event=BroadcastEvent(user_id="dan")).SerializeToString()
    assert JSON.encode(data) is JSON.encode(bytes(bytearray(data)))


def test_views_of_the_city_are_not_remembered() -> None:
    """Each is one observer's, and 5,000 users are 200 KB with their JSON."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(100):
            view = CityView(sequence=number, changed=bytes(80_000))
            assert len(JSON.encode(ServerEnvelope(city_view=view).SerializeToString())) > 100_000
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()


def test_what_is_too_long_to_be_remembered_is_the_same_json() -> None:
    for size in (MAX_REMEMBERED_BYTES - 100, MAX_REMEMBERED_BYTES + 100):
        ack = Ack(correlation_id="x" * size, success=True)
        said = json.loads(JSON.encode(ServerEnvelope(ack=ack).SerializeToString()))
        assert said == {"ack": {"correlationId": "x" * size, "success": True}}


@pytest.mark.parametrize(
    "text",
    [
        *("null", "7", "NaN", "{", '{"heartbeat":7}', '{"heartbeat":{"seq":1e400}}'),
        *(
            '{"locationUpdate":{"latitude":"north"}}',
            '{"heartbeat":{"userId":"\\ud800"}}',
            '{"heartbeat":{},"hello":{}}',
        ),
        '{"heartbeat":{"seq":' + "9" * 5_000 + "}}",
    ],
)
def test_json_that_is_no_envelope(text: str) -> None:
    with pytest.raises(UndecodableError) as caught:
        JSON.decode(text)
    assert caught.value.close_code == 1007


def test_each_has_its_kind_of_message() -> None:
    for codec, message in ((JSON, b"{}"), (BINARY, "{}")):
        with pytest.raises(UndecodableError) as caught:
            codec.decode(message)
        assert caught.value.close_code == 1003
