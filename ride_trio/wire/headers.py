"""Header lists of gRPC calls: checked as HTTP/2 messages, then read as requests, responses and trailers.

Two kinds of trouble are kept apart. A list that breaks RFC 9113 section 8 is malformed: the stream is reset
(`StreamFault`). A well-formed request that is not gRPC gets an HTTP answer (`NotGrpc`), so that a person with curl
sees what the port is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ride_trio.wire import hpack
from ride_trio.wire.fields import Fields, check_fields, content_length, malformed
from ride_trio.wire.hpack import Decoder, Header
from ride_trio.wire.hpack_static import ENTRY_OVERHEAD_BYTES
from ride_trio.wire.metadata import (
    OF_APPLICATIONS,
    Metadata,
    MetadataLike,
    cut_message,
    decode_field,
    decode_message,
    decode_timeout,
    encode_message,
    encode_metadata,
    encode_timeout,
)
from ride_trio.wire.stream import ENCODINGS

_REQUEST_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_RESPONSE_PSEUDO: Final = frozenset((b":status",))
# Headers that gRPC itself reads; everything else is metadata.
_NOT_METADATA: Final = frozenset((b"te", b"content-type", b"user-agent", b"content-length", b"host"))
# What nearly all clients say, and all that there is (a media type is written in any case, RFC 9110, section 8.3.1).
_PROTO_TYPES: Final = frozenset(("application/grpc", "application/grpc+proto"))
_GRPC_TYPE: Final = re.compile(r"application/grpc(\+[^; ]*)? *(?:;.*)?", re.IGNORECASE)
ACCEPTED_ENCODINGS: Final = ",".join(ENCODINGS).encode()
# Of an answer without messages: what it cannot do without, however little the peer allows.
_ESSENTIAL: Final = frozenset((b":status", b"content-type", b"grpc-accept-encoding", b"grpc-status"))
# gRPC's clients commonly refuse a larger header list (grpc-core's and grpc-java's default), and with it the status.
LARGEST_TRAILERS_BYTES: Final = 8_192
# Any peer takes frames of 16 KiB: two blocks that come to less than this need no CONTINUATION.
SMALL_BLOCK_BYTES: Final = 4_096
# The rest is for `response_block`'s fields, which a trailers-only answer has in the same list.
_TRAILERS_ROOM_BYTES: Final = LARGEST_TRAILERS_BYTES - 256
# 12 bytes a character at most (four, percent-encoded): fits, whatever it says.
_LONGEST_CACHED_MESSAGE: Final = 512
_LONGEST_CACHED_TEXT: Final = 128
_MOST_ATTEMPTS_DIGITS: Final = 10
_OK: Final = 0
_UNKNOWN: Final = 2
_INTERNAL: Final = 13
_LARGEST_STATUS: Final = 16


class NotGrpc(Exception):
    """A valid HTTP/2 request that is not a gRPC call.

    Args:
        status: The HTTP status to answer with.
        text: A sentence for the person who sent it; empty if there is to be no body.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(slots=True)
class RequestHead:
    """A gRPC request's headers. Nobody changes it once it is read: calls that begin alike share one.

    `timeout_s` is None without grpc-timeout. `previous_attempts`: how often a client has tried this call before
    (grpc-previous-rpc-attempts).
    """

    path: str
    scheme: str = "http"
    authority: str | None = None
    content_type: str = "application/grpc"
    timeout_s: float | None = None
    encoding: str = "identity"
    accept_encoding: str = "identity"
    user_agent: str | None = None
    message_type: str | None = None
    metadata: Metadata = ()
    content_length: int | None = None
    previous_attempts: int = 0


@dataclass(slots=True)
class ResponseHead:
    """A response's headers. Without a grpc-status, an `http_status` other than 200 means that no gRPC server answered.

    `has_status`: a grpc-status is among them, which then counts whatever else they say (trailers-only).
    """

    http_status: int
    content_type: str
    encoding: str
    metadata: Metadata
    has_status: bool = False
    content_length: int | None = None


@dataclass(slots=True)
class Trailers:
    """How a call ended. `code` is the gRPC status number."""

    code: int
    message: str
    metadata: Metadata


# What a client reports for a response that ends without trailers.
MISSING_TRAILERS: Final = Trailers(_INTERNAL, "the server ended the stream without a status", ())


def text(value: bytes) -> str:
    """A header's value as text: the same object for the same short value, since a process sees few different ones."""
    return _cached_text(value) if len(value) <= _LONGEST_CACHED_TEXT else value.decode("latin-1")


@lru_cache(1024)
def _cached_text(value: bytes) -> str:
    return value.decode("latin-1")


def parse_request(stream_id: int, fields: Fields) -> RequestHead:
    """Read a request's header list.

    Raises:
        StreamFault: Malformed (RFC 9113, section 8.1.1).
        NotGrpc: Well-formed, but no gRPC call.
        ValueError: A gRPC call with a header that cannot be read (grpc-timeout, a -bin value).
    """
    pseudo = check_fields(stream_id, fields, _REQUEST_PSEUDO)
    if pseudo.get(b":method") == b"CONNECT":
        raise _connect(stream_id, pseudo)
    if not (pseudo.get(b":method") and pseudo.get(b":scheme") and pseudo.get(b":path")):
        raise malformed(stream_id, "a request needs :method, :scheme and :path")
    if b"@" in pseudo.get(b":authority", b""):
        raise malformed(stream_id, ":authority names a user")
    return _read_request(stream_id, pseudo, fields)


def _connect(stream_id: int, pseudo: dict[bytes, bytes]) -> Exception:
    """A request for a tunnel has a shape of its own (RFC 9113, section 8.5)."""
    if pseudo.keys() != {b":method", b":authority"}:
        return malformed(stream_id, "CONNECT has :authority and neither :scheme nor :path")
    return _wrong_method(b"CONNECT")


def _read_request(stream_id: int, pseudo: dict[bytes, bytes], fields: Fields) -> RequestHead:
    if pseudo[b":method"] != b"POST":
        raise _wrong_method(pseudo[b":method"])
    head = RequestHead(text(pseudo[b":path"]), text(pseudo[b":scheme"]), content_type="")
    if b":authority" in pseudo:
        head.authority = text(pseudo[b":authority"])
    metadata: list[tuple[str, str | bytes]] = []
    for name, value, _ in fields:
        if name[:5] == b"grpc-" and name not in OF_APPLICATIONS:
            _read_grpc_field(head, name, value)
        elif name not in _NOT_METADATA:
            if name[:1] != b":":
                metadata += decode_field(name, value)
        elif name == b"content-type":
            head.content_type = text(value)
        elif name == b"user-agent":
            head.user_agent = text(value)
        elif name == b"content-length":
            head.content_length = content_length(stream_id, fields)
    if not is_grpc(head.content_type):
        raise NotGrpc(415, f"content-type {head.content_type!r} is not application/grpc: this port speaks gRPC")
    head.metadata = tuple(metadata)
    return head


def _wrong_method(method: bytes) -> NotGrpc:
    if method == b"HEAD":
        return NotGrpc(405, "")  # an answer to HEAD has no body
    return NotGrpc(405, f"{method.decode('latin-1')} is not for here: gRPC calls are POST")


def _read_grpc_field(head: RequestHead, name: bytes, value: bytes) -> None:
    if name == b"grpc-timeout":
        head.timeout_s = decode_timeout(value)
    elif name == b"grpc-encoding":
        head.encoding = value.decode("latin-1")
    elif name == b"grpc-accept-encoding":
        head.accept_encoding = value.decode("latin-1")
    elif name == b"grpc-message-type":
        head.message_type = value.decode("latin-1")
    elif name == b"grpc-previous-rpc-attempts" and value.isdigit() and len(value) < _MOST_ATTEMPTS_DIGITS:
        head.previous_attempts = int(value)


def message_format(content_type: str) -> str | None:
    """How the messages of a content-type are written; "proto" if it does not say. None: it is not gRPC."""
    if content_type in _PROTO_TYPES:
        return "proto"
    match = _GRPC_TYPE.fullmatch(content_type)
    return match and (match[1] or "+proto")[1:].lower()


def is_grpc(content_type: str) -> bool:
    """Whether a content-type is application/grpc, alone or with a +format or ;parameter."""
    return message_format(content_type) is not None


def parse_response(stream_id: int, fields: Fields) -> ResponseHead:
    """Read a response's first header list (trailers-only included: then `parse_trailers` reads it once more)."""
    pseudo = check_fields(stream_id, fields, _RESPONSE_PSEUDO)
    status = pseudo.get(b":status", b"")
    if len(status) != 3 or not status.isdigit():
        raise malformed(stream_id, f":status {status!r}")
    named = {name: value.decode("latin-1") for name, value, _ in fields}
    return ResponseHead(
        http_status=int(status),
        content_type=named.get(b"content-type", ""),
        encoding=named.get(b"grpc-encoding", "identity"),
        metadata=_read_metadata(fields),
        has_status=b"grpc-status" in named,
        content_length=content_length(stream_id, fields) if b"content-length" in named else None,
    )


def parse_trailers(stream_id: int, fields: Fields, *, first: bool = False) -> Trailers:
    """Read the status; without grpc-status the call ends UNKNOWN, as gRPC prescribes.

    Args:
        stream_id: For the error.
        fields: The header list.
        first: It is the response's only list (trailers-only), which carries :status.
    """
    if not first:
        check_fields(stream_id, fields, frozenset())
    named = {name: value for name, value, _ in fields}
    raw = named.get(b"grpc-status", b"")
    metadata = _read_metadata(fields)
    if not raw.isdigit() or len(raw) > 2 or int(raw) > _LARGEST_STATUS:
        return Trailers(_UNKNOWN, f"the server sent no valid grpc-status ({raw[:20]!r})", metadata)
    return Trailers(int(raw), decode_message(named.get(b"grpc-message", b"")), metadata)


def _read_metadata(fields: Fields) -> Metadata:
    rows: list[tuple[str, str | bytes]] = []
    for name, value, _ in fields:
        if name[:1] == b":" or name in _NOT_METADATA:
            continue
        if name[:5] != b"grpc-" or name in OF_APPLICATIONS:
            try:
                rows += decode_field(name, value)
            except ValueError:
                continue  # an answer's unreadable metadata is dropped rather than the answer
    return tuple(rows)


def request_block(head: RequestHead) -> bytes:
    """The header block that starts a call."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", head.scheme.encode()),
        (b":path", head.path.encode("latin-1")),
        *([(b":authority", head.authority.encode("latin-1"))] if head.authority else []),
        (b"te", b"trailers"),
        (b"content-type", head.content_type.encode("latin-1")),
        (b"user-agent", (head.user_agent or "ride-trio").encode("latin-1")),
    ]
    if head.timeout_s is not None:
        fields.append((b"grpc-timeout", encode_timeout(head.timeout_s)))
    if head.encoding != "identity":
        fields.append((b"grpc-encoding", head.encoding.encode("latin-1")))
    fields.append((b"grpc-accept-encoding", ACCEPTED_ENCODINGS))
    if head.previous_attempts:
        fields.append((b"grpc-previous-rpc-attempts", b"%d" % head.previous_attempts))
    return hpack.encode(fields + encode_metadata(head.metadata))


_RESPONSE_FIELDS: Final = (
    (b":status", b"200"),
    (b"content-type", b"application/grpc+proto"),
    (b"grpc-accept-encoding", ACCEPTED_ENCODINGS),
)
_RESPONSE: Final = hpack.encode(_RESPONSE_FIELDS)
_TRAILERS_OK: Final = hpack.encode(((b"grpc-status", b"0"),))


def response_block(metadata: MetadataLike = (), encoding: str = "identity") -> bytes:
    """The header block that starts a gRPC response; `encoding` is that of its compressed messages."""
    if not metadata and encoding == "identity":
        return _RESPONSE
    fields = encode_metadata(metadata)
    if encoding != "identity":
        fields = [(b"grpc-encoding", encoding.encode("latin-1")), *fields]
    return _RESPONSE + hpack.encode(fields) if fields else _RESPONSE


def trailers_block(code: int, message: str = "", metadata: MetadataLike = ()) -> bytes:
    """The header block that ends a response that has begun, or one after `response_block()` that has not.

    What would make it larger than clients take is cut off: the end of the message first, then metadata.

    Raises:
        LocalError: Metadata that gRPC does not allow.
    """
    if code == _OK and not message and not metadata:
        return _TRAILERS_OK
    fields = encode_metadata(metadata)
    if not fields and len(message) <= _LONGEST_CACHED_MESSAGE:
        return _status_block(code, message)
    return hpack.encode(_fit(_status_fields(code, message) + fields, _TRAILERS_ROOM_BYTES))


@lru_cache(256)
def _status_block(code: int, message: str) -> bytes:
    return hpack.encode(_status_fields(code, message))


def _status_fields(code: int, message: str) -> list[Header]:
    fields = [(b"grpc-status", b"%d" % code)]
    if message:  # a character is at least a byte
        fields.append((b"grpc-message", encode_message(message[:LARGEST_TRAILERS_BYTES])))
    return fields


def fitted(trailers: bytes, largest_list: int) -> bytes:
    """A block of `trailers_block`, with or without `response_block` before it, for a peer that allows less."""
    fields = Decoder(LARGEST_TRAILERS_BYTES).decode(trailers) or ()
    return hpack.encode(_fit([(name, value) for name, value, _ in fields], largest_list))


def _fit(fields: list[Header], largest_list: int) -> list[Header]:
    """Cut the message, then leave metadata out from the first that has no room on; the status always stays."""
    kept: list[Header] = []
    room = largest_list
    for name, value in fields:
        fixed = len(name) + ENTRY_OVERHEAD_BYTES
        if name == b"grpc-message" and fixed + len(value) > room:
            value = cut_message(value, room - fixed)
            if not value:
                continue
        room -= fixed + len(value)
        if room < 0 and name not in _ESSENTIAL:
            break
        kept.append((name, value))
    return kept


def http_block(status: int, content_type: str, extra: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """The header block of an answer to what is no gRPC call."""
    return hpack.encode(((b":status", b"%d" % status), (b"content-type", content_type.encode()), *extra))
