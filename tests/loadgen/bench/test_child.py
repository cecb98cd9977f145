from __future__ import annotations

import os
import signal

import pytest

from ride_trio_loadgen.bench.child import child, client_on_its_own_cpu

SERVERS = "ride_trio_loadgen.bench.echo_servers"
ENGINE = "ride-trio (coroutine)"


def test_a_child_that_does_not_start_is_an_error_that_names_it() -> None:
    with (
        pytest.raises(RuntimeError, match="echo_servers no-such-engine did not start"),
        child(SERVERS, "no-such-engine"),
    ):
        pass


def test_questions_are_answered_with_figures() -> None:
    with child(SERVERS, ENGINE) as server:
        assert 0 < server.ask("cpu") < 60
        assert server.ask("rss") > 1_000_000
        assert server.ask("gc") >= 0


def test_the_child_ends_with_the_block() -> None:
    with child(SERVERS, ENGINE) as server:
        pid = server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


def test_client_and_server_are_kept_apart_for_as_long_as_the_block_lasts() -> None:
    allowed = os.sched_getaffinity(0)
    with client_on_its_own_cpu() as cpu:
        if len(allowed) < 2:
            assert cpu is None
            return
        assert cpu is not None
        with child(SERVERS, ENGINE, cpu=cpu) as server:
            assert os.sched_getaffinity(server.pid) == {cpu}
        assert len(os.sched_getaffinity(0) & (allowed - {cpu})) == 1
    assert os.sched_getaffinity(0) == allowed
