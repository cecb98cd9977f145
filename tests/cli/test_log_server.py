"""The options that say where the log is, and how commands end that cannot reach it."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
import trio
import trustme

from ride_trio.rpc import TlsFiles
from ride_trio.rpc.auth import ListedTokens, authenticated
from ride_trio.values import Address
from ride_trio_cli.log_client import LogClient
from ride_trio_cli.log_server import LogServer
from tests.cli.commands import Cli
from tests.cli.fake_log import FakeLog, running


def test_the_target_is_an_option_or_in_the_environment(
    anywhere: Cli, port: int, log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add_topic("rides", [])
    assert anywhere("topics", "list", "--target", f"127.0.0.1:{port}").stdout == "rides\n"
    assert anywhere("topics", "list", "--target", f":{port}").stdout == "rides\n"
    monkeypatch.setenv("RIDE_TRIO_TARGET", f"127.0.0.1:{port}")
    assert anywhere("topics", "list").stdout == "rides\n"


def test_a_target_that_is_none_is_exit_code_2(anywhere: Cli) -> None:
    done = anywhere("topics", "list", "--target", "here")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "ride-trio: --target here: allowed is HOST:PORT or [IPV6]:PORT, port 1 to 65535\n"


@pytest.mark.parametrize(
    "words", ["topics list", "topics describe", "produce rides", "consume rides", "groups list", "groups delete a"]
)
def test_where_nobody_listens_is_a_line_that_says_what_to_do(words: str, anywhere: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    done = anywhere(*words.split(), "--target", target)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"ride-trio: cannot connect to {target}: ")
    hint = "`ride-trio serve` starts a server, --target HOST:PORT says where it is, --ca FILE uses TLS"
    assert done.stderr.endswith(f"; {hint}\n")


def test_a_server_without_a_log_is_a_line(anywhere: Cli) -> None:
    with running(None) as port:
        done = anywhere("topics", "list", "--target", f":{port}")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("ride-trio: the server keeps no log: ")


# ---------------------------------------------------------------------- tokens


def test_a_token_is_an_option_or_in_the_environment_and_has_to_be_right(
    anywhere: Cli, log: FakeLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-ann ann\n")
    with running(log, interceptors=[authenticated(ListedTokens(tokens))]) as port:
        target = ("--target", f":{port}")
        assert anywhere("topics", "list", *target, "--token", "a-token-of-ann").exit_code == 0
        for words in ((), ("--token", "another")):
            done = anywhere("topics", "list", *target, *words)
            assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
            assert done.stderr.endswith("; --token TOKEN (or RIDE_TRIO_TOKEN) says who calls\n")
            assert "another" not in done.stderr
        streaming = anywhere("produce", "rides", *target, stdin=b"1\n2\n")
        assert (streaming.exit_code, "may be stored" in streaming.stderr) == (1, False)
        assert streaming.stderr.endswith("; --token TOKEN (or RIDE_TRIO_TOKEN) says who calls\n")
        monkeypatch.setenv("RIDE_TRIO_TOKEN", "a-token-of-ann\n")
        assert anywhere("topics", "list", *target).exit_code == 0


def test_a_token_that_no_header_takes_is_exit_code_2_and_not_shown(anywhere: Cli) -> None:
    done = anywhere("topics", "list", "--token", "secrét")
    assert (done.exit_code, done.stderr) == (2, "ride-trio: --token: allowed are printable ASCII characters\n")


# ---------------------------------------------------------------------- TLS


def test_with_the_authoritys_certificate_it_speaks_tls(anywhere: Cli, log: FakeLog, tmp_path: Path) -> None:
    log.add_topic("rides", [])
    ours, other = trustme.CA(), trustme.CA()
    leaf = ours.issue_cert("localhost")
    chain, key, ca, foreign = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem", "foreign.pem"))
    chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(key)
    ours.cert_pem.write_to_path(ca)
    other.cert_pem.write_to_path(foreign)
    with running(log, ssl_context=TlsFiles(chain, key)) as port:
        target = ("--target", f"localhost:{port}")
        assert anywhere("topics", "list", *target, "--ca", str(ca)).stdout == "rides\n"
        for words in (("--ca", str(foreign)), ()):
            done = anywhere("topics", "list", *target, *words)
            assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert "--ca FILE uses TLS" in done.stderr


def test_a_file_that_is_no_certificate_is_exit_code_2(anywhere: Cli, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    done = anywhere("topics", "list", "--ca", str(file))
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"ride-trio: --ca {file}: no certificate that can be read")


# ---------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_ends_a_command_that_waits(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    async def work(log: LogClient) -> None:
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    with pytest.raises(Exception) as caught:  # noqa: PT011 - typer.Exit, told by its code
        LogServer(Address("127.0.0.1", port)).run(work)
    assert (getattr(caught.value, "exit_code", None), capsys.readouterr().err) == (130, "ride-trio: interrupted\n")


def test_ctrl_c_stops_a_command_that_has_something_to_say(port: int) -> None:
    async def work(log: LogClient, stop: trio.Event) -> str:
        signal.raise_signal(signal.SIGINT)
        await stop.wait()
        return "said"

    assert LogServer(Address("127.0.0.1", port)).run_until_stopped(work) == ("said", True)


def test_without_ctrl_c_it_just_ends(port: int) -> None:
    async def work(log: LogClient, stop: trio.Event) -> bool:
        return stop.is_set()

    assert LogServer(Address("127.0.0.1", port)).run_until_stopped(work) == (False, False)
