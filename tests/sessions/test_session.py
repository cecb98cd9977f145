"""A session's silence and its end."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from ride_trio.errors import NoHeartbeatError, ShutdownError
from ride_trio.sessions import MAX_ID_CHARS, Session, is_valid_id
from tests.sessions.outboxes import make_outbox

TIMEOUT_S = 15.0


@pytest.fixture
async def session() -> Session:
    return Session(make_outbox(), trio.current_time)


async def run(session: Session, then: Callable[[], None] = lambda: None) -> None:
    """A session's owner."""
    async with trio.open_nursery() as nursery:
        session.open(nursery)
        then()
        await session.wait_silent(TIMEOUT_S)
        session.end(NoHeartbeatError("silent"))
    session.closed()


async def test_silence_ends_after_the_timeout(session: Session, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    await run(session)
    assert trio.current_time() - began == pytest.approx(TIMEOUT_S)
    assert isinstance(session.ending, NoHeartbeatError)


async def test_any_sign_of_life_puts_it_off(session: Session, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, session)
        for _ in range(5):
            await trio.sleep(14)
            session.last_seen = trio.current_time()
    assert trio.current_time() - began == pytest.approx(5 * 14 + TIMEOUT_S)


async def test_end_stops_the_owner_at_once_and_the_first_reason_stays(
    session: Session, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, session)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        session.end(ShutdownError("first"))
        session.end(ShutdownError("second"))
        session.finish()
    assert trio.current_time() == began
    assert session.over
    assert session.ending is not None
    assert session.ending.message == "first"


async def test_finish_ends_it_without_a_reason(session: Session) -> None:
    await run(session, session.finish)
    assert session.over
    assert session.ending is None


async def test_an_end_before_the_nursery_is_there_is_not_lost(session: Session, autojump_clock: MockClock) -> None:
    session.end(ShutdownError("early"))
    began = trio.current_time()
    await run(session)
    assert trio.current_time() == began


async def test_an_answer_only_finishes_who_waits_for_it(session: Session) -> None:
    session.answered()
    assert not session.over
    session.half_closed = True
    session.answered()
    assert session.over


async def test_a_session_explains_itself(session: Session) -> None:
    session.user_id = "ann"
    session.end(ShutdownError("bye"))
    assert repr(session) == f"<Session {session.session_id} of ann, zone None, ending SHUTDOWN>"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("ann", True),
        ("Zoë 7", True),
        ("x" * MAX_ID_CHARS, True),
        ("x" * (MAX_ID_CHARS + 1), False),
        ("a\nb", False),
        ("a\x00", False),
        ("\x1b[2J", False),
    ],
)
def test_ids(text: str, valid: bool) -> None:
    assert is_valid_id(text) is valid
