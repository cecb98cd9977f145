"""Configs: what is allowed, and how the rest is refused."""

from __future__ import annotations

import pytest

from ride_trio.errors import InvalidConfigError
from ride_trio.eventlog.configs import MAX_MESSAGE_BYTES, UNLIMITED, WEEK_MS, TopicConfig, parse_configs


def test_defaults() -> None:
    assert parse_configs({}) == TopicConfig({}, WEEK_MS, UNLIMITED, MAX_MESSAGE_BYTES, compact=False)


def test_all_of_them() -> None:
    given = {
        "retention.ms": "60000",
        "retention.bytes": "1048576",
        "max.message.bytes": "1000",
        "cleanup.policy": "compact",
        "compression.type": "producer",
    }
    assert parse_configs(given) == TopicConfig(given, 60_000, 1_048_576, 1_000, compact=True)


@pytest.mark.parametrize(
    "given",
    [
        {"retention.ms": "-1", "retention.bytes": "-1"},
        {"retention.ms": "0", "retention.bytes": "0"},
        {"retention.ms": str(2**63 - 1)},
        {"max.message.bytes": "1"},
        {"max.message.bytes": str(MAX_MESSAGE_BYTES)},
        {"cleanup.policy": "delete", "compression.type": "uncompressed"},
    ],
)
def test_allowed(given: dict[str, str]) -> None:
    assert parse_configs(given).given == given


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("retention.ms", "-2", "allowed is a whole number from -1 to"),
        ("retention.ms", str(2**63), "allowed is a whole number"),
        ("retention.ms", "1e3", "allowed is a whole number"),
        ("retention.ms", "1_000", "allowed is a whole number"),
        ("retention.ms", " 7", "allowed is a whole number"),
        ("retention.ms", "\u0667", "allowed is a whole number"),
        ("retention.ms", "", "allowed is a whole number"),
        ("retention.bytes", "9" * 5_000, "allowed is a whole number"),
        ("max.message.bytes", "0", f"allowed is a whole number from 1 to {MAX_MESSAGE_BYTES}"),
        ("max.message.bytes", str(MAX_MESSAGE_BYTES + 1), "allowed is a whole number"),
        ("cleanup.policy", "compact,delete", "allowed is delete or compact"),
        ("compression.type", "gzip", "allowed is producer or uncompressed"),
        ("Retention.ms", "1", "unknown config 'Retention.ms': known are cleanup.policy, compression.type"),
    ],
)
def test_refused_by_name(name: str, value: str, told: str) -> None:
    with pytest.raises(InvalidConfigError, match=name) as caught:
        parse_configs({"max.message.bytes": "1", name: value})
    assert told in caught.value.message
    assert len(caught.value.message) < 300
