"""Loans: bounded together, first come first served, and nobody waits for ever."""

from __future__ import annotations

import pytest

from ride_trio.wire import Connection, ErrorCode, Limits, ServerConnection, Stream
from ride_trio.wire.frames import WINDOW_UPDATE
from ride_trio.wire.headers import RequestHead, response_block, trailers_block
from ride_trio.wire.loans import Loans
from ride_trio.wire.reserve import Reserve
from ride_trio.wire.shared import Shared
from ride_trio.wire.states import State
from tests.wire import peers
from tests.wire.peers import Pair, data, framed, headers, receive, sent, take

WINDOW = 65_535
MEBIBYTE = 1_048_576
MESSAGE = bytes(3_000_000)
CAP = Limits().shared_lent
WIDE = Limits(connection_window=2**24)


def lent(connection: Connection) -> int:
    """What is lent, checked against the cap and against what the streams say."""
    account = connection.outbound.loans
    assert account.lent == sum(stream.loan for stream in connection.streams.values())
    assert account.lent <= account.cap_bytes
    return account.lent


def in_line(connection: Connection) -> list[int]:
    """The ids of the streams that wait, in order."""
    return [stream.id for stream in connection.outbound.loans.line]


def short_of(stream_id: int, size: int) -> Stream:
    """A stream whose message is `size` bytes larger than its window."""
    stream = Stream(stream_id, 5, WINDOW)
    stream.recv_window = 0
    stream.assemble(framed(bytes(size))[:5], 2**31)
    return stream


# ---------------------------------------------------------------- the account


class Lender:
    """A connection's writing half: lends, and keeps a list."""

    def __init__(self, account: Loans) -> None:
        self.account = account
        self.lent_to: list[Stream] = []

    def lend(self, stream: Stream, size: int) -> None:
        self.account.lend(stream, size)
        self.lent_to.append(stream)


@pytest.fixture
def account() -> Loans:
    return Loans(100)


@pytest.fixture
def lender(account: Loans) -> Lender:
    return Lender(account)


def test_loans_are_given_up_to_the_cap_and_then_in_order(account: Loans, lender: Lender) -> None:
    first, second, third = short_of(1, 60), short_of(3, 50), short_of(5, 10)
    assert account.ask(first, lender, 60)
    account.lend(first, 60)
    assert not account.ask(second, lender, 50)
    assert not account.ask(third, lender, 10)  # it would fit, but nobody overtakes
    assert not account.ask(second, lender, 50)
    assert list(account.line) == [second, third]
    account.lend_on()
    assert lender.lent_to == []
    account.paid(first, 10)
    account.lend_on()
    assert lender.lent_to == [second]
    account.paid(first, 50)
    account.lend_on()
    assert lender.lent_to == [second, third]
    assert not account.line
    assert "60 of 100 bytes to 2 streams, 0 wait" in repr(account)
    assert account.concerns(second)
    assert not account.concerns(first)


def test_a_loan_larger_than_the_cap_is_given_if_it_is_the_only_one(account: Loans, lender: Lender) -> None:
    small, large = short_of(1, 1), short_of(3, 500)
    account.lend(small, 1)
    assert not account.ask(large, lender, 500)
    account.drop(small)
    account.lend_on()
    assert lender.lent_to == [large]
    assert not account.ask(small, lender, 1)


def test_who_has_a_loan_gets_more_without_waiting(account: Loans, lender: Lender) -> None:
    stream = short_of(1, 200)
    account.lend(stream, 200)
    assert not account.ask(short_of(3, 1), lender, 1)
    assert account.ask(stream, lender, 1)


def test_a_stream_that_is_over_owes_nothing_and_waits_no_longer(account: Loans, lender: Lender) -> None:
    first, second = short_of(1, 100), short_of(3, 100)
    account.lend(first, 100)
    account.ask(second, lender, 100)
    for _ in range(2):
        account.drop(first)
        account.drop(second)
        account.paid(first, 100)
        assert (account.lent, list(account.line)) == (0, [])


def test_who_needs_nothing_any_more_is_passed_over(account: Loans, lender: Lender) -> None:
    first, second, third = short_of(1, 100), short_of(3, 100), short_of(5, 100)
    account.lend(first, 100)
    assert not account.ask(second, lender, 100)
    assert not account.ask(third, lender, 100)
    second.recv_window = 100
    account.drop(first)
    account.lend_on()
    assert lender.lent_to == [third]
    assert not account.line


# ---------------------------------------------------------------- on a connection


def crowd(pair: Pair, calls: int) -> list[Stream]:
    """Answered calls, the server's view, each with a large message on its way."""
    near = [pair.near, *(pair.client.open(RequestHead("/test.Echo/Bidi", authority="test")) for _ in range(calls - 1))]
    pair.exchange()
    far = [pair.server.streams[stream.id] for stream in near]
    for stream in far[1:]:
        pair.server.outbound.send_headers(stream, response_block())
    for stream in near:
        pair.client.outbound.send_message(stream, MESSAGE)
    return far


def test_large_messages_of_many_streams_take_turns_and_all_arrive() -> None:
    pair = Pair()
    far = crowd(pair, 50)
    arrived: dict[int, list[bytes]] = {stream.id: [] for stream in far}
    most, busy = 0, True
    while busy:
        busy = pair.step()
        most = max(most, lent(pair.server))
        for stream in far:
            taken = take(pair.server, stream) if stream.inbox else []
            lent(pair.server)
            arrived[stream.id] += taken
            busy = busy or bool(taken)
    assert [list(map(len, messages)) for messages in arrived.values()] == [[len(MESSAGE)]] * 50
    assert CAP - len(MESSAGE) < most <= CAP
    assert (lent(pair.server), pair.server.outbound.loans.line) == (0, {})
    for stream in far:
        assert (stream.held, stream.partial) == (0, None)
        assert stream.recv_window + stream.to_credit == WINDOW
        assert pair.client.streams[stream.id].send_window == stream.recv_window
    assert pair.client.outbound.window == pair.server._window


def test_what_is_held_for_calls_that_never_read_is_bounded() -> None:
    pair = Pair(server_limits=WIDE)  # so that they ask in order
    far = crowd(pair, 40)
    pair.exchange()
    held = sum(stream.held for stream in far)
    assert held <= CAP + 40 * WINDOW
    assert sum(len(message) for stream in far for message in (*stream.inbox, stream.partial or b"")) <= held
    assert [len(stream.inbox) for stream in far] == [1] * 5 + [0] * 35
    assert in_line(pair.server) == [stream.id for stream in far[5:]]


def test_loans_of_calls_that_end_go_to_those_who_wait() -> None:
    """A reset of the client's, one of ours, and an orderly end, in turn, with messages unread."""
    pair = Pair(server_limits=WIDE)  # so that they ask in order
    far = crowd(pair, 40)
    for number, stream in enumerate(far):
        pair.exchange()
        assert stream.inbox
        if number % 3 == 0:
            pair.client.reset(pair.client.streams[stream.id], ErrorCode.CANCEL)
        elif number % 3 == 1:
            pair.server.reset(stream, ErrorCode.CANCEL)
        else:
            pair.client.outbound.end(pair.client.streams[stream.id])
            pair.exchange()
            pair.server.outbound.end(stream, trailers_block(0))
    pair.exchange()
    assert {stream.state for stream in far} == {State.CLOSED}
    assert (lent(pair.server), pair.server.outbound.loans.line) == (0, {})
    pair.server.credit(far[0], far[0].takeable)  # its reader is late
    assert lent(pair.server) == 0


def test_connections_share_an_account(account: Loans) -> None:
    """A loan that one connection's call has paid goes to another connection's, whose shell is told."""
    limits = Limits()
    shared = Shared(Loans(100_000), Reserve(0))
    one, other = (ServerConnection(limits, shared) for _ in range(2))
    told = []
    other.outbound.lent = lambda: told.append("other")
    for connection in (one, other):
        receive(connection, peers.PREFACE, peers.SETTINGS, headers(1), data(1, framed(bytes(150_000))[:100]))
    assert in_line(other) == [1]
    other.outbound.take_output()
    assert not told
    one.reset(one.streams[1], ErrorCode.CANCEL)
    assert told == ["other"]
    assert [f.stream_id for f in sent(other) if f.kind == WINDOW_UPDATE] == [1]
    other.release()
    assert shared.loans.lent == 0


def test_a_half_message_makes_way_for_those_who_wait() -> None:
    connection = peers.server(Limits(shared_lent=1))
    for stream_id in (1, 3):
        receive(connection, headers(stream_id), data(stream_id, framed(MESSAGE)[:100]))
    half, waits = (connection.streams[stream_id] for stream_id in (1, 3))
    assert connection.unsettled
    connection.tick(begin=True)
    assert half.failure is None
    connection.tick()
    assert half.failure is not None
    assert half.failure[0] == 8  # RESOURCE_EXHAUSTED
    # The other one had waited as long; its loan has come in the same moment, so its time begins anew.
    assert waits.shortage() == 0 or waits.failure is not None


def test_a_half_message_may_take_its_time_while_nobody_waits() -> None:
    connection = peers.server(Limits(shared_lent=1))
    receive(connection, headers(1), data(1, framed(MESSAGE)[:100]))
    for _ in range(3):
        connection.tick()
    assert connection.streams[1].failure is None
    receive(connection, peers.frames.rst_stream_frame(1, 8))
    assert not connection.unsettled


def test_who_ends_while_it_waits_leaves_the_line() -> None:
    connection = peers.server(Limits(shared_lent=1))
    begun = framed(MESSAGE)[:100]
    for stream_id in (1, 3, 5, 7):
        receive(connection, headers(stream_id), data(stream_id, begun))
    assert in_line(connection) == [3, 5, 7]
    receive(connection, data(3, b"", end=True))
    assert in_line(connection) == [5, 7]
    receive(connection, peers.frames.rst_stream_frame(5, 8))
    assert in_line(connection) == [7]
    connection.outbound.take_output()
    connection.reset(connection.streams[1], ErrorCode.CANCEL)
    loans = [(f.stream_id, f.number) for f in sent(connection) if f.kind == WINDOW_UPDATE]
    assert loans == [(7, len(MESSAGE) + 5 - WINDOW)]


@pytest.mark.parametrize("sizes", [[40_000] * 30, [10_000, 60_000] * 15, [60_000] * 30])
@pytest.mark.parametrize("at_once", [True, False])
def test_messages_that_fit_into_windows_do_not_wait_for_loans(sizes: list[int], at_once: bool) -> None:
    """A call that never reads has borrowed all there is; another's messages lie across the end of its window."""
    pair = Pair(server_limits=Limits(shared_lent=1))
    far = crowd(pair, 2)
    pair.exchange()
    assert pair.server.outbound.loans.lent > 1
    pair.client.reset(pair.client.streams[far[1].id], ErrorCode.CANCEL)
    stream = pair.client.open(RequestHead("/test.Echo/Bidi", authority="test"))
    got: list[int] = []
    for size in sizes:
        pair.client.outbound.send_message(stream, bytes(size))
        if not at_once:
            pair.exchange()
            got += map(len, take(pair.server, pair.server.streams[stream.id]))
    for _ in sizes:
        pair.exchange()
        got += map(len, take(pair.server, pair.server.streams[stream.id]))
    assert got == sizes


@pytest.mark.parametrize("padding", [0, 1, 255])
def test_padding_takes_no_loan_from_its_stream(padding: int) -> None:
    """Two borrowers fill the cap, and a third waits for the hundred bytes that a padded frame pays: both finish."""
    message = framed(bytes(200_000))
    connection = peers.server(Limits(shared_lent=2 * (len(message) - WINDOW)))
    streams = [peers.server_call(connection, stream_id) for stream_id in (1, 3, 5)]
    for stream, begun in zip(streams, (message[:10], message[:10], framed(bytes(WINDOW + 95))[:10]), strict=True):
        receive(connection, data(stream.id, begun))
    assert in_line(connection) == [5]
    for start in range(10, len(message), 1_000):
        for stream in streams[:2]:
            piece = message[start : start + 1_000]
            room = stream.recv_window - len(piece) - 1
            receive(connection, data(stream.id, piece, padding=min(padding, room) if room >= 0 else None))
            assert stream.shortage() == 0
            lent(connection)
            connection.outbound.take_output()
    assert [len(stream.inbox) for stream in streams] == [1, 1, 0]
    for stream in streams[:2]:
        take(connection, stream)
    assert not connection.outbound.loans.line
    assert streams[2].shortage() == 0


def test_a_smaller_window_of_ours_does_not_strand_a_message_that_has_begun() -> None:
    """The client has used up the default window before it applies our SETTINGS, which take as much away again."""
    connection = peers.ServerConnection(Limits(stream_window=100))
    receive(connection, peers.PREFACE + peers.SETTINGS)
    stream = peers.server_call(connection)
    message = framed(bytes(100_000))
    receive(connection, *(data(1, message[start : start + 13_107]) for start in range(0, WINDOW, 13_107)))
    receive(connection, peers.SETTINGS_ACK)
    assert stream.recv_window == len(message) - WINDOW
    assert stream.shortage() == 0
