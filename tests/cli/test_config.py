"""`ride-trio config`."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from ride_trio.config import SETTINGS, load_settings
from ride_trio_cli.main import app

runner = CliRunner()
UNSET = dict.fromkeys([setting.env for setting in SETTINGS], "")


def test_every_setting_is_a_line_with_its_source() -> None:
    environ = UNSET | {"MATCH_RADIUS": "2km", "SHARD_COUNT": "8"}
    done = runner.invoke(app, ["config", "--shard-count", "16"], env=environ)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert (done.exit_code, len(lines)) == (0, len(SETTINGS))
    assert ["GRPC_LISTEN_ADDR=:7443", "#", "default"] in lines
    assert ["MATCH_RADIUS=2000m", "#", "environment"] in lines
    assert ["SHARD_COUNT=16", "#", "option"] in lines


def test_what_it_prints_is_an_environment_that_means_the_same() -> None:
    done = runner.invoke(app, ["config", "--heartbeat-timeout", "1m30s"], env=UNSET)
    environ = dict(line.split()[0].split("=", 1) for line in done.stdout.splitlines())
    assert load_settings({}, environ) == load_settings({"heartbeat_timeout_s": "1m30s"}, {})


def test_as_json_each_has_value_and_source() -> None:
    done = runner.invoke(app, ["config", "--json"], env=UNSET | {"LOG_LEVEL": "DEBUG"})
    found = json.loads(done.stdout)
    assert found["LOG_LEVEL"] == {"value": "debug", "source": "env"}
    assert found["HEARTBEAT_TIMEOUT"] == {"value": "15s", "source": "default"}
    assert list(found) == [setting.env for setting in SETTINGS]


def test_a_wrong_variable_is_one_line_and_exit_code_2() -> None:
    done = runner.invoke(app, ["config"], env=UNSET | {"MAX_SESSIONS": "lots"})
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "ride-trio: MAX_SESSIONS=lots: allowed is a whole number from 1 to 10000000\n"
