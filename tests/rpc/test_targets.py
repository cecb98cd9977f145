from __future__ import annotations

from pathlib import Path

import purerpc
import pytest
import trio

from ride_trio.rpc.targets import Endpoint, connect, parse_target, resolve


@pytest.mark.parametrize(
    ("target", "port", "shown"),
    [
        ("ride.test", 7443, ["ride.test:7443"]),
        ("::1", 7443, ["[::1]:7443"]),
        ("ride.test:7443", None, ["ride.test:7443"]),
        ("dns:///ride.test:7443", None, ["ride.test:7443"]),
        ("[::1]:1", None, ["[::1]:1"]),
        ("10.0.0.1:1, 10.0.0.2:2", None, ["10.0.0.1:1", "10.0.0.2:2"]),
        ("unix:/run/ride.sock", None, ["unix:/run/ride.sock"]),
        ("unix:///run/ride.sock", None, ["unix:/run/ride.sock"]),
    ],
)
def test_targets(target: str, port: int | None, shown: list[str]) -> None:
    assert [str(endpoint) for endpoint in parse_target(target, port)] == shown


@pytest.mark.parametrize(
    "target", ["", "ride.test", "ride.test:", ":7443", "ride.test:port", "ride.test:70000", "a:1,b"]
)
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ValueError, match="should be host:port"):
        parse_target(target)


def test_what_requests_name_as_the_server() -> None:
    assert Endpoint("ride.test", 1, "ride.test").authority == "ride.test:1"
    assert Endpoint("/run/ride.sock", None).authority == "localhost"


class Names:
    """A resolver that knows two names."""

    async def getaddrinfo(self, host: object, port: object, *_: object) -> list[tuple[object, ...]]:
        known = {b"two.test": ["10.0.0.1", "10.0.0.2"], b"one.test": ["10.0.0.2"]}
        if host not in known:
            raise OSError(-2, "Name or service not known")
        return [(2, 1, 6, "", (address, port)) for address in known[host]]  # type: ignore[index]


async def test_every_address_of_every_name_each_once() -> None:
    trio.socket.set_custom_hostname_resolver(Names())  # type: ignore[arg-type]
    found = await resolve(parse_target("two.test:1,nobody.test:1,one.test:1,unix:/s"))
    # The same address of two names is two, for TLS: the certificate has to be for the name.
    assert [(str(e), e.name) for e in found] == [
        ("10.0.0.1:1", "two.test"),
        ("10.0.0.2:1", "two.test"),
        ("10.0.0.2:1", "one.test"),
        ("unix:/s", ""),
    ]
    with pytest.raises(purerpc.UnavailableError, match=r"cannot look up nobody.test: Name or service not known"):
        await resolve(parse_target("nobody.test:1"))


async def test_every_failure_is_told(tmp_path: Path) -> None:
    with pytest.raises(purerpc.UnavailableError) as caught:
        await connect(parse_target(f"127.0.0.1:1,unix:{tmp_path}/none"), None)
    assert caught.value.status.status_message == (
        f"cannot connect to 127.0.0.1:1: all attempts to connect to 127.0.0.1:1 failed; "
        f"cannot connect to unix:{tmp_path}/none: No such file or directory"
    )
