"""`/ws`: from the request that asks for a WebSocket to its last frame.

    answer ─> refused, in HTTP
           └> serve ─> trio-websocket's handshake ─> the session, as over gRPC ─> a close code and a reason

What the session does is behind `open_session`. How each way to end is told, see CLOSE_CODES and `docs/websocket.md`.

Source: RFC 6455.
"""

from __future__ import annotations

import binascii
import logging
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import ProtocolError

from ride_trio.errors import RideTrioError
from ride_trio.gateway.access import Access
from ride_trio.gateway.codecs import CODECS, Codec, JsonCodec, UndecodableError
from ride_trio.gateway.framing import FrameStream
from ride_trio.gateway.http import Takeover
from ride_trio.gateway.messages import Answer, Request
from ride_trio.gateway.websocket_call import WebSocketCall
from ride_trio.metrics import HttpMetrics
from ride_trio.sessions import MAX_ID_CHARS, Session, is_valid_id

log = logging.getLogger(__name__)

# Bytes of one message. An envelope is some hundred; ids, the longest of what it carries, are cut at 128 characters.
MAX_MESSAGE_BYTES: Final = 65_536
# Bytes between two whole messages: frames of a byte each have seven of overhead, and there may be pings.
MAX_UNREAD_BYTES: Final = 8 * MAX_MESSAGE_BYTES
# Bytes asked of the socket at once; a buffer of that size is kept while the socket is idle.
RECEIVE_BYTES: Final = 4_096
HANDSHAKE_S: Final = 10.0
# Seconds that a peer has to answer our close frame; a round trip on a bad mobile link is 300 ms.
CLOSE_S: Final = 1.0

NORMAL: Final = 1000
FAILED: Final = 1011
FLOODED: Final = 1008
# By the error's code. 4000 to 4999 are for applications; browsers hand all of them to the page.
CLOSE_CODES: Final = {
    "SHUTDOWN": 1001,
    "CONNECTION_LIMIT": 1013,
    "RESOURCE_EXHAUSTED": 1013,
    "NO_HEARTBEAT": 4408,
    "SESSION_TAKEN_OVER": 4409,
    "SLOW_CONSUMER": 4413,
}
_VERSION: Final = "13"
_KEY_BYTES: Final = 16
# A peer that ends with one of these has ended its session itself; any other code is a lost connection.
_ENDED_WELL: Final = (1000, 1001, 1005)  # the last one: a close frame without a code


class LiveSession(Protocol):
    """A session that a call can carry."""

    session: Session

    async def run(self) -> RideTrioError | None:
        """Live. Returns what the call shall end with, if anything."""


OpenSession = Callable[[WebSocketCall, str | None, bool], LiveSession]


class Keepalive(NamedTuple):
    """Pings: after how much quiet on our side, and how long their pong may take; seconds."""

    every_s: float
    timeout_s: float


class Ending(NamedTuple):
    """A close code, and the reason for a person."""

    code: int
    reason: str = ""

    @classmethod
    def of(cls, error: RideTrioError | None) -> Ending:
        """How a session's ending is told."""
        return cls(NORMAL) if error is None else cls(CLOSE_CODES.get(error.code, FAILED), error.detail)


class WebSockets:
    """See the module's text.

    Args:
        open_session: makes a session of a call, its user's name if that is known, and whether it may observe.
        access: who may look, and whose pages may connect.
        caller: tells whose token it is, raises ValueError for one that is not accepted; None if nobody needs one.
        keepalive: pings.
        metrics: where to count.
    """

    def __init__(
        self,
        open_session: OpenSession,
        access: Access,
        caller: Callable[[str], str] | None,
        keepalive: Keepalive,
        metrics: HttpMetrics,
    ) -> None:
        self._open_session = open_session
        self._access = access
        self._caller = caller
        self._keepalive = keepalive
        self._metrics = metrics
        self._open = 0
        self._all_closed = trio.lowlevel.ParkingLot()

    def __repr__(self) -> str:
        return f"<WebSockets, {self._open} open>"

    async def wait_all_closed(self, timeout_s: float) -> None:
        """Wait until none is open, but no longer than so many seconds."""
        with trio.move_on_after(timeout_s):
            while self._open:
                await self._all_closed.park()

    # ------------------------------------------------------------------ before it begins

    def answer(self, request: Request) -> Answer | Takeover:
        """Refuse what can't become a session's WebSocket, or tell who takes the connection over."""
        refusal = _not_a_handshake(request) or self._not_allowed(request)
        codec = _codec(request)
        if refusal is None and codec is None:
            refusal = _refuse(HTTPStatus.BAD_REQUEST, f"UNKNOWN_SUBPROTOCOL: known are {', '.join(CODECS)}")
        user_id = _user_id(request)
        if refusal is None and not is_valid_id(user_id):
            refusal = _refuse(HTTPStatus.BAD_REQUEST, f"BAD_REQUEST: a user id has up to {MAX_ID_CHARS} characters")
        may_observe = self._access.objection(request) is None
        if refusal is None and self._caller is not None and not may_observe:
            subject, refusal = self._authenticate(request, user_id)
            user_id = user_id or subject
        if refusal is not None or codec is None:
            self._metrics.refused("websocket").n += 1
            return refusal or Answer.of(HTTPStatus.BAD_REQUEST)
        return partial(self._serve, codec, user_id or None, may_observe)

    def _not_allowed(self, request: Request) -> Answer | None:
        if self._access.is_foreign(request):
            return _refuse(
                HTTPStatus.FORBIDDEN, "FOREIGN_ORIGIN: HTTP_ALLOWED_ORIGINS does not have this page's origin"
            )
        return None

    def _authenticate(self, request: Request, user_id: str) -> tuple[str, Answer | None]:
        """Who calls, and the refusal of who may not."""
        assert self._caller is not None
        token = request.bearer or request.query.get("access_token", "")
        try:
            subject = self._caller(token)
        except ValueError as error:
            return "", _unauthenticated(f"the token is not accepted: {error}" if token else "a token is needed")
        if user_id and user_id != subject:
            return "", _unauthenticated(f"the token is for {subject!r}, but the user id is {user_id!r}")
        return subject, None

    # ------------------------------------------------------------------ while it lives

    async def _serve(self, codec: Codec, user_id: str | None, may_observe: bool, stream: trio.abc.Stream) -> None:
        frames = FrameStream(stream, MAX_UNREAD_BYTES)
        self._count(1)
        ending: Ending | None = None
        try:
            async with trio.open_nursery() as nursery:
                socket = await _shake_hands(nursery, frames, codec)
                if socket is not None:
                    ending = Ending(FAILED, "INTERNAL: the server's log says why")
                    call = WebSocketCall(socket, frames, codec, self._metrics.held)
                    live = self._open_session(call, user_id, may_observe)
                    ending = await self._live(nursery, socket, frames, call, live)
                    with trio.move_on_after(CLOSE_S):
                        await socket.aclose(*ending)
                nursery.cancel_scope.cancel()
        except* ProtocolError as group:  # the library lets a ping through that comes after we have closed
            log.debug("a WebSocket of %r ended early: %r", user_id, group.exceptions)
        except* Exception:
            log.exception("a WebSocket of %r failed", user_id)
        finally:
            self._count(-1)
        if ending is not None:
            self._metrics.closed(str(ending.code)).n += 1
            with trio.move_on_after(CLOSE_S):
                await _say_goodbye(frames, ending)

    def _count(self, more: int) -> None:
        self._open += more
        self._metrics.websockets.n += more
        if not self._open:
            self._all_closed.unpark_all()

    async def _live(
        self,
        nursery: trio.Nursery,
        socket: WebSocketConnection,
        frames: FrameStream,
        call: WebSocketCall,
        live: LiveSession,
    ) -> Ending:
        peer: list[Ending] = []  # how the peer has ended it
        error: RideTrioError | None = None
        with trio.CancelScope() as scope:
            nursery.start_soon(_read, call, frames, live.session, scope, peer)
            ping = partial(nursery.start_soon, self._ping, socket, scope, peer)
            nursery.start_soon(call.write, max(self._keepalive), ping)  # so that there is one ping at a time
            error = await live.run()
        return peer[0] if peer else Ending.of(error)

    async def _ping(self, socket: WebSocketConnection, scope: trio.CancelScope, peer: list[Ending]) -> None:
        """See that the peer is still there, and keep the way to it open."""
        with trio.move_on_after(self._keepalive.timeout_s) as patience, suppress(ConnectionClosed):
            await socket.ping()
        if patience.cancelled_caught:
            peer.append(Ending(CLOSE_CODES["NO_HEARTBEAT"], "NO_PONG: a ping was not answered"))
            scope.cancel()


async def _shake_hands(nursery: trio.Nursery, frames: FrameStream, codec: Codec) -> WebSocketConnection | None:
    with trio.move_on_after(HANDSHAKE_S):
        request = await wrap_server_stream(
            nursery, frames, max_message_size=MAX_MESSAGE_BYTES, receive_buffer_size=RECEIVE_BYTES
        )
        offered = codec.subprotocol in request.proposed_subprotocols
        try:
            return await request.accept(subprotocol=codec.subprotocol if offered else None)
        except ConnectionClosed:
            pass
    return None


async def _read(
    call: WebSocketCall, frames: FrameStream, session: Session, scope: trio.CancelScope, peer: list[Ending]
) -> None:
    """Read until the peer ends it; then the session has to end, too."""
    try:
        await call.read()
    except ConnectionClosed as closed:
        code = closed.reason.code if closed.reason is not None else NORMAL
        peer.append(Ending(FLOODED, "TOO_MUCH: bytes without a message") if frames.flooded else Ending(code))
        if code in _ENDED_WELL:
            call.peer_closed()
    except UndecodableError as error:
        peer.append(Ending(error.close_code, f"BAD_REQUEST: {error}"))
    call.closed = True
    if not session.over:
        scope.cancel()


async def _say_goodbye(frames: FrameStream, ending: Ending) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # if the connection is lost
        await frames.say_goodbye(*ending)


# ---------------------------------------------------------------------- the handshake's request


def _not_a_handshake(request: Request) -> Answer | None:
    asked = {word.strip().lower() for word in request.header("connection").split(",")}
    if request.method != "GET" or "upgrade" not in asked or request.header("upgrade").lower() != "websocket":
        return _refuse(
            HTTPStatus.UPGRADE_REQUIRED, "UPGRADE_REQUIRED: this is for WebSockets", ("upgrade", "websocket")
        )
    if request.header("sec-websocket-version") != _VERSION:
        version = ("sec-websocket-version", _VERSION)
        return _refuse(HTTPStatus.UPGRADE_REQUIRED, "UNKNOWN_VERSION: version 13 is spoken here", version)
    try:
        key = b64decode(request.header("sec-websocket-key"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    return None if len(key) == _KEY_BYTES else _refuse(HTTPStatus.BAD_REQUEST, "BAD_REQUEST: no sec-websocket-key")


def _codec(request: Request) -> Codec | None:
    """What the client likes best of what we know; JSON if it does not say."""
    offered = [name.strip() for name in request.header("sec-websocket-protocol").split(",") if name.strip()]
    return (
        next((CODECS[name] for name in offered if name in CODECS), None) if offered else CODECS[JsonCodec.subprotocol]
    )


def _user_id(request: Request) -> str:
    return request.query.get("user_id", "") or request.header("user-id")


def _unauthenticated(words: str) -> Answer:
    return _refuse(HTTPStatus.UNAUTHORIZED, f"UNAUTHENTICATED: {words}", ("www-authenticate", "Bearer"))


def _refuse(status: HTTPStatus, detail: str, *extra: tuple[str, str]) -> Answer:
    return Answer.refusal(status, detail, *extra)
