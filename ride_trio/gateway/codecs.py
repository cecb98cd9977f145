"""Envelopes as WebSocket messages: protobuf's JSON mapping in text, or its binary form.

JSON costs about 40 us a message, the binary form nothing: the session's bytes are sent as they are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError

from ride_trio.pb.ride.v1.ride_pb2 import ClientEnvelope, ServerEnvelope

# A position goes to all sessions of its zone, and each of them would make the same text of it; the newest are enough.
_REMEMBERED: Final = 256
# A broadcast with the longest of names has less. What is longer is a view of the city: 200 KB, and one observer's.
MAX_REMEMBERED_BYTES: Final = 1_024


class UndecodableError(Exception):
    """A message that is no envelope.

    Attributes:
        close_code: what the WebSocket is closed with.
    """

    def __init__(self, close_code: int, message: str) -> None:
        super().__init__(message)
        self.close_code = close_code


class Codec(Protocol):
    """One of the two."""

    subprotocol: str

    def decode(self, message: str | bytes) -> ClientEnvelope:
        """Raises UndecodableError."""

    def encode(self, envelope: bytes) -> str | bytes:
        """A serialized ServerEnvelope as the message to send."""


class JsonCodec:
    """Text messages."""

    subprotocol = "ride.v1.json"

    def decode(self, message: str | bytes) -> ClientEnvelope:
        if isinstance(message, bytes):
            raise UndecodableError(1003, f"{self.subprotocol} is spoken in text messages, a binary one came")
        try:
            return Parse(message, ClientEnvelope(), ignore_unknown_fields=True)
        except (ParseError, ValueError, RecursionError) as error:
            raise UndecodableError(1007, f"no ClientEnvelope in JSON: {error}") from None

    def encode(self, envelope: bytes) -> str:
        return _as_json(envelope) if len(envelope) > MAX_REMEMBERED_BYTES else _as_json_once(envelope)


class BinaryCodec:
    """Binary messages."""

    subprotocol = "ride.v1.proto"

    def decode(self, message: str | bytes) -> ClientEnvelope:
        if isinstance(message, str):
            raise UndecodableError(1003, f"{self.subprotocol} is spoken in binary messages, a text came")
        try:
            return ClientEnvelope.FromString(message)
        except DecodeError:
            raise UndecodableError(1007, f"a message of {len(message)} bytes is no ClientEnvelope") from None

    def encode(self, envelope: bytes) -> bytes:
        return envelope


def _as_json(envelope: bytes) -> str:
    return MessageToJson(ServerEnvelope.FromString(envelope), indent=None)


_as_json_once = lru_cache(_REMEMBERED)(_as_json)


CODECS: Final[dict[str, Codec]] = {codec.subprotocol: codec for codec in (JsonCodec(), BinaryCodec())}
