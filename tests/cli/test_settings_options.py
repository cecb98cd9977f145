"""One option a setting, on every command that has settings."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from ride_trio.config import SETTINGS
from ride_trio.errors import SettingsError
from ride_trio_cli.demo import OWN_SETTINGS
from ride_trio_cli.main import app
from ride_trio_cli.settings_options import with_settings_options

WIDE = {"COLUMNS": "300", "TERM": "dumb", "NO_COLOR": "1"}
runner = CliRunner()


@pytest.mark.parametrize(
    ("command", "left_out"),
    [("serve", ()), ("config", ()), ("demo", OWN_SETTINGS)],
    ids=["serve", "config", "demo"],
)
def test_a_command_has_an_option_for_each_setting(command: str, left_out: tuple[str, ...]) -> None:
    shown = runner.invoke(app, [command, "--help"], env=WIDE)
    assert shown.exit_code == 0
    words = shown.stdout.split()
    offered = [setting for setting in SETTINGS if setting.option in words]
    assert offered == [setting for setting in SETTINGS if setting.name not in left_out]
    for setting in offered:
        assert f"(env {setting.env}, default {setting.default})" in shown.stdout


def test_given_options_reach_the_command_by_field_name_beside_its_own() -> None:
    seen: list[object] = []

    def command(overrides: dict[str, str], loud: bool = False) -> None:
        """Do it."""
        seen.extend([overrides, loud])

    single = typer.Typer()
    single.command()(with_settings_options(command))
    done = runner.invoke(single, ["--loud", "--heartbeat-timeout", "20s", "--match-radius=2km"])
    assert (done.exit_code, seen) == (0, [{"heartbeat_timeout_s": "20s", "match_radius_m": "2km"}, True])


def test_a_settings_error_is_one_line_and_exit_code_2() -> None:
    def command(overrides: dict[str, str]) -> None:
        raise SettingsError("--shard-count x: no")

    single = typer.Typer()
    single.command()(with_settings_options(command))
    done = runner.invoke(single, [])
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", "ride-trio: --shard-count x: no\n")
