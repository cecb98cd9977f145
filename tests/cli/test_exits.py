"""How a command ends when it can't go on."""

from __future__ import annotations

import pytest
import typer

from ride_trio.values import Address
from ride_trio_cli.exits import fail, fail_usage, read_duration, read_option, read_pair, read_target


def test_a_failure_is_a_line_on_standard_error_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught:
        fail("no road")
    assert (caught.value.exit_code, capsys.readouterr()) == (1, ("", "ride-trio: no road\n"))


def test_a_wrong_call_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught:
        fail_usage("--to nowhere")
    assert (caught.value.exit_code, capsys.readouterr()) == (2, ("", "ride-trio: --to nowhere\n"))


def test_an_option_is_read_or_named_with_its_value_and_what_is_allowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert read_option("--n", "7", int, "a number") == 7
    with pytest.raises(typer.Exit):
        read_option("--n", "seven", int, "a number")
    assert capsys.readouterr().err == "ride-trio: --n seven: allowed is a number\n"


@pytest.mark.parametrize("text", ["0s", "soon", "5", "9" * 400 + "s"])
def test_a_duration_is_above_zero(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_duration("--duration", "250ms") == 0.25
    with pytest.raises(typer.Exit):
        read_duration("--duration", text)
    assert capsys.readouterr().err.startswith(f"ride-trio: --duration {text}: allowed is a duration above 0")


def test_a_target_without_a_host_is_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_target(":7443") == Address("localhost", 7443)
    assert read_target("[::1]:7443") == Address("::1", 7443)
    with pytest.raises(typer.Exit):
        read_target("here:0")
    allowed = "HOST:PORT or [IPV6]:PORT, port 1 to 65535"
    assert capsys.readouterr().err == f"ride-trio: --target here:0: allowed is {allowed}\n"


def test_a_pair_is_cut_at_the_first_equals_sign(capsys: pytest.CaptureFixture[str]) -> None:
    assert [read_pair("--x", text) for text in ("a=b=c", "a=")] == [("a", "b=c"), ("a", "")]
    for text in ("a", "=b"):
        with pytest.raises(typer.Exit):
            read_pair("--x", text)
        assert capsys.readouterr().err == f"ride-trio: --x {text}: allowed is NAME=VALUE\n"
