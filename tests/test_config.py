"""The table of settings, and how values reach it."""

from dataclasses import fields

import pytest

from ride_trio.config import SETTINGS, Settings, load_settings, resolve
from ride_trio.errors import SettingsError
from ride_trio.values import Address

CONTRACT_DEFAULTS = {
    "GRPC_LISTEN_ADDR": ":7443",
    "HTTP_LISTEN_ADDR": ":8080",
    "METRICS_LISTEN_ADDR": ":9090",
    "MAX_SESSIONS": "1200000",
    "OUTBOUND_BUFFER": "256",
    "HEARTBEAT_INTERVAL": "5s",
    "HEARTBEAT_TIMEOUT": "15s",
    "SHARD_COUNT": "64",
    "MATCH_WINDOW": "1s",
    "MATCH_RADIUS": "5km",
    "MATCH_TIMEOUT": "30s",
}


def test_the_environment_variables_and_defaults_are_the_published_ones() -> None:
    assert CONTRACT_DEFAULTS.items() <= {setting.env: setting.default for setting in SETTINGS}.items()


def test_without_any_value_the_defaults_hold() -> None:
    settings = load_settings({}, {})
    assert settings == Settings()
    assert settings.grpc_listen_addr == Address("", 7443)
    assert (settings.heartbeat_interval_s, settings.heartbeat_timeout_s) == (5.0, 15.0)
    assert (settings.match_window_s, settings.match_radius_m, settings.match_timeout_s) == (1.0, 5000.0, 30.0)
    assert settings.log_level == "info"


def test_every_setting_has_a_reason_and_is_written_as_it_is_read() -> None:
    assert [setting.name for setting in SETTINGS] == [field.name for field in fields(Settings)]
    for setting in SETTINGS:
        value = setting.kind.parse(setting.default)
        assert setting.kind.parse(setting.kind.format(value)) == value
        assert setting.reason


def test_an_option_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {"MAX_SESSIONS": "10", "SHARD_COUNT": "2", "UNRELATED": "x"}
    found = resolve({"max_sessions": "20"}, environ)
    assert (found["max_sessions"].value, found["max_sessions"].source) == (20, "option")
    assert (found["shard_count"].value, found["shard_count"].source) == (2, "env")
    assert (found["outbound_buffer"].value, found["outbound_buffer"].source) == (256, "default")


def test_the_process_environment_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCH_RADIUS", "750m")
    assert load_settings().match_radius_m == 750.0


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({}, {"HEARTBEAT_TIMEOUT": ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        (
            "GRPC_LISTEN_ADDR",
            "7443",
            "allowed is HOST:PORT, :PORT or [IPV6]:PORT with a port from 0 to 65535",
        ),
        (
            "METRICS_LISTEN_ADDR",
            ":70000",
            "allowed is HOST:PORT, :PORT or [IPV6]:PORT with a port from 0 to 65535",
        ),
        ("MAX_SESSIONS", "0", "allowed is a whole number from 1 to 10000000"),
        ("MAX_SESSIONS", "many", "allowed is a whole number from 1 to 10000000"),
        ("OUTBOUND_BUFFER", "-1", "allowed is a whole number from 1 to 65536"),
        ("SHARD_COUNT", "1.5", "allowed is a whole number from 1 to 65536"),
        (
            "HEARTBEAT_INTERVAL",
            "5",
            "allowed is a duration above 0 and up to 24h, such as 250ms, 5s or 1m30s",
        ),
        (
            "HEARTBEAT_TIMEOUT",
            "0s",
            "allowed is a duration above 0 and up to 24h, such as 250ms, 5s or 1m30s",
        ),
        ("MATCH_WINDOW", "25h", "allowed is a duration above 0 and up to 24h, such as 250ms, 5s or 1m30s"),
        ("SHUTDOWN_GRACE", "soon", "allowed is a duration from 0s to 24h, such as 250ms, 5s or 1m30s"),
        ("MATCH_RADIUS", "0", "allowed is a distance from 1m to 200km, such as 5000, 5000m or 5km"),
        ("LOG_LEVEL", "loud", "allowed is one of debug, info, warning, error"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_variable_value_and_what_is_allowed(
    variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {variable: value})
    assert str(caught.value) == f"{variable}={value}: {allowed}"


def test_a_wrong_option_is_named_as_the_option() -> None:
    with pytest.raises(SettingsError, match=r"^--match-radius far: allowed is a distance"):
        load_settings({"match_radius_m": "far"}, {"MATCH_RADIUS": "5km"})


def test_a_value_with_line_breaks_still_makes_one_line() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"LOG_LEVEL": "info\nBAD\x1b[0m"})
    assert str(caught.value).isprintable()


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^no such setting: heartbeat$"):
        load_settings({"heartbeat": "1s"}, {})


def test_a_heartbeat_timeout_must_be_longer_than_the_interval() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"heartbeat_interval_s": "15s"}, {"HEARTBEAT_TIMEOUT": "15s"})
    assert str(caught.value) == "HEARTBEAT_TIMEOUT=15s: it must be longer than --heartbeat-interval 15s"


def test_a_match_timeout_must_be_longer_than_the_window() -> None:
    with pytest.raises(SettingsError, match=r"^MATCH_TIMEOUT=500ms: it must be longer than MATCH_WINDOW=1s$"):
        load_settings({}, {"MATCH_TIMEOUT": "500ms", "MATCH_WINDOW": "1s"})


def test_who_sets_one_of_two_need_not_set_the_other() -> None:
    found = load_settings({}, {"HEARTBEAT_TIMEOUT": "2s", "MATCH_TIMEOUT": "500ms", "GRPC_LISTEN_ADDR": ":8080"})
    assert found.heartbeat_timeout_s == 2.0
    assert found.match_timeout_s == 0.5
    assert found.grpc_listen_addr == found.http_listen_addr


def test_a_default_interval_follows_a_short_timeout_and_a_given_one_stays() -> None:
    assert load_settings({}, {"HEARTBEAT_TIMEOUT": "1500ms"}).heartbeat_interval_s == 0.5
    assert load_settings({}, {"HEARTBEAT_TIMEOUT": "1m"}).heartbeat_interval_s == 5.0
    given = {"HEARTBEAT_TIMEOUT": "15s", "HEARTBEAT_INTERVAL": "14s"}
    assert load_settings({}, given).heartbeat_interval_s == 14.0


def test_two_listeners_cannot_share_an_address() -> None:
    with pytest.raises(SettingsError, match=r"^METRICS_LISTEN_ADDR=:7443: GRPC_LISTEN_ADDR=:7443 is the same address$"):
        load_settings({}, {"METRICS_LISTEN_ADDR": ":7443", "GRPC_LISTEN_ADDR": ":7443"})


def test_the_web_gateway_can_be_switched_off() -> None:
    assert load_settings({"http_listen_addr": ""}, {}).http_listen_addr is None
    assert load_settings({}, {"HTTP_LISTEN_ADDR": "off"}).http_listen_addr is None


def test_several_listeners_may_ask_for_any_port() -> None:
    anywhere = dict.fromkeys(("GRPC_LISTEN_ADDR", "HTTP_LISTEN_ADDR", "METRICS_LISTEN_ADDR"), "127.0.0.1:0")
    assert load_settings({}, anywhere).metrics_listen_addr == Address("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"grpc_tls_cert": "c.pem"}, "GRPC_TLS_KEY, too"),
        ({"grpc_tls_key": "k.pem"}, "GRPC_TLS_CERT, too"),
        ({"http_tls_cert": "c.pem"}, "HTTP_TLS_KEY, too"),
        ({"http_tls_key": "k.pem"}, "HTTP_TLS_CERT, too"),
        ({"grpc_tls_client_ca": "ca.pem"}, "GRPC_TLS_CERT, too"),
        (
            {"grpc_tls_cert": "c", "grpc_tls_key": "k", "grpc_tls_client_names": "a"},
            "GRPC_TLS_CLIENT_CA, too",
        ),
        ({"reuse_port": "perhaps"}, "yes or no"),
        ({"max_message_bytes": "10 MB"}, "such as 65536, 10MB or 10MiB"),
        ({"max_message_bytes": "12"}, "from 1KiB"),
    ],
)
def test_settings_of_the_engine_that_do_not_go(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(given, {})


def test_settings_of_the_engine() -> None:
    settings = load_settings({"reuse_port": "on", "max_message_bytes": "1MB", "max_connection_age_s": "30m"}, {})
    assert (settings.reuse_port, settings.max_message_bytes, settings.max_connection_age_s) == (True, 10**6, 1_800)
