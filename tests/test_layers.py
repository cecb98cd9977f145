"""Imports run downward only: the table of rooms below, held against every import in the tree.

An import anywhere in a file counts, inside functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_FILE_LINES = 400  # past this a file is no longer one idea

# The folder that each package is in.
PACKAGES = {"ride_trio": ".", "ride_trio_cli": "cli", "ride_trio_loadgen": "loadgen"}


@dataclass(frozen=True)
class Room:
    """What the modules of one room may import.

    Attributes:
        rooms: other rooms of the house. Its own modules a room may always import.
        libraries: top-level names from outside the standard library.
        not_stdlib: top-level names of the standard library that are out of bounds.
    """

    rooms: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    not_stdlib: frozenset[str] = frozenset()


def room(*rooms: str, libraries: str = "", not_stdlib: str = "") -> Room:
    return Room(frozenset(rooms), frozenset(libraries.split()), frozenset(not_stdlib.split()))


BOTTOM = ("ride_trio.config", "ride_trio.errors", "ride_trio.metrics", "ride_trio.values")
DOMAIN = ("ride_trio.sessions", "ride_trio.matching", "ride_trio.city", "ride_trio.eventlog")
RPC = ("ride_trio.rpc", "ride_trio.pb")
NOT_SANS_IO = "asyncio select selectors signal socket ssl subprocess threading time"

ROOMS = {
    "ride_trio": room(),  # the package's own __init__
    "ride_trio.errors": room(),
    "ride_trio.values": room(),
    "ride_trio.config": room("ride_trio.errors", "ride_trio.values"),
    "ride_trio.metrics": room(libraries="prometheus_client"),
    "ride_trio.pb": room(libraries="google purerpc"),
    "ride_trio.wire": room(*BOTTOM, not_stdlib=NOT_SANS_IO),
    "ride_trio.rpc": room(*BOTTOM, "ride_trio.wire", "ride_trio.pb", libraries="google jwt purerpc trio"),
    "ride_trio.sessions": room(*BOTTOM, libraries="trio"),
    "ride_trio.matching": room(*BOTTOM, "ride_trio.sessions", libraries="trio"),
    "ride_trio.city": room(*BOTTOM, "ride_trio.sessions", "ride_trio.matching", libraries="trio"),
    "ride_trio.eventlog": room(*BOTTOM, libraries="crc32c trio"),
    "ride_trio.services": room(*BOTTOM, *DOMAIN, *RPC, "ride_trio", libraries="google purerpc trio"),
    "ride_trio.gateway": room(
        *BOTTOM, *DOMAIN, "ride_trio", "ride_trio.pb", libraries="google h11 trio trio_websocket wsproto"
    ),
    "ride_trio.serving": room(*BOTTOM, *RPC),
    "ride_trio.web": room(
        *BOTTOM, *DOMAIN, *RPC, "ride_trio.services", "ride_trio.serving", "ride_trio.gateway", libraries="trio"
    ),
    "ride_trio.app": room(
        *BOTTOM, *DOMAIN, *RPC, "ride_trio.services", "ride_trio.serving", "ride_trio.web", libraries="trio"
    ),
    "ride_trio_loadgen": room(*BOTTOM, *RPC, libraries="google hdrh purerpc rich trio"),
    # A bench starts the servers that it measures, and plays clients that no library would be.
    "ride_trio_loadgen.bench": room(
        *BOTTOM,
        *RPC,
        "ride_trio.wire",
        "ride_trio.app",
        "ride_trio_loadgen",
        libraries="google grpc grpclib purerpc rich trio",
    ),
    "ride_trio_cli": room(
        *BOTTOM,
        "ride_trio",
        "ride_trio.pb",
        "ride_trio.rpc",
        "ride_trio.app",
        "ride_trio.eventlog",  # for `log check`, which reads the files of a log that is not running
        "ride_trio_loadgen",
        "ride_trio_loadgen.bench",
        libraries="purerpc rich trio typer",
    ),
}


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module of the house, by dotted name."""
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder / package).rglob("*.py")):
            yield ".".join(path.relative_to(root / folder).with_suffix("").parts), path


def imports(module: str, source: str) -> Iterator[str]:
    """The dotted name of everything that a module imports; a relative one is made absolute."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str | None:
    """The room that a dotted name is in, or None if it is not of this house."""
    top, *below = name.split(".")
    if top not in PACKAGES:
        return None
    if top == "ride_trio_loadgen" and below[:1] == ["bench"]:
        return "ride_trio_loadgen.bench"
    in_a_room = top == "ride_trio" and below and below[0] not in {"__init__", "__version__"}
    return f"{top}.{below[0]}" if in_a_room else top


def violations(root: Path) -> list[str]:
    """One line an import that goes upward or out of bounds, and one a module that is in no room."""
    found = []
    for module, path in modules(root):
        home = room_of(module)
        if home is None or home not in ROOMS:
            found.append(f"{module} is in no room of the table")
            continue
        bad = [name for name in imports(module, path.read_text()) if not allowed(ROOMS[home], home, name)]
        found += [f"{module} imports {name}" for name in bad]
    return found


def allowed(rules: Room, home: str, name: str) -> bool:
    target = room_of(name)
    if target is not None:
        return target == home or target in rules.rooms
    top = name.split(".")[0]
    if top in sys.stdlib_module_names:
        return top not in rules.not_stdlib
    return top in rules.libraries


def test_every_import_goes_downward() -> None:
    assert violations(ROOT) == []


def test_every_room_of_the_table_exists() -> None:
    inhabited = {room_of(module) for module, _ in modules(ROOT)}
    assert ROOMS.keys() - inhabited == set()


def test_commands_and_load_generator_are_clients_only() -> None:
    """Only a bench starts servers: the engine that it measures."""
    clients = [(m, path) for m, path in modules(ROOT) if room_of(m) in {"ride_trio_cli", "ride_trio_loadgen"}]
    found = {m: set(imports(m, path.read_text())) for m, path in clients}
    assert {m for m, names in found.items() if "ride_trio.rpc.Server" in names} == set()


@pytest.mark.parametrize(
    ("path", "source", "caught"),
    [
        ("ride_trio/wire/new.py", "from ride_trio.rpc import Server", "ride_trio.rpc.Server"),
        ("ride_trio/wire/new.py", "import trio", "trio"),
        ("ride_trio/wire/new.py", "def now():\n    from time import monotonic", "time.monotonic"),
        ("ride_trio/wire/deep/new.py", "from ...rpc import Server", "ride_trio.rpc.Server"),
        ("ride_trio/sessions/new.py", "from ride_trio.pb.ride import v1", "ride_trio.pb.ride.v1"),
        ("ride_trio/sessions/new.py", "import google.protobuf.message", "google.protobuf.message"),
        ("ride_trio/sessions/new.py", "from ..matching import loop", "ride_trio.matching.loop"),
        ("ride_trio/matching/new.py", "if TYPE_CHECKING:\n    import purerpc", "purerpc"),
        ("ride_trio/gateway/new.py", "import ride_trio.rpc", "ride_trio.rpc"),
        ("ride_trio/services/new.py", "from ride_trio import app", "ride_trio.app"),
        ("ride_trio/config.py", "from ride_trio import metrics", "ride_trio.metrics"),
        ("loadgen/ride_trio_loadgen/new.py", "from ride_trio.app import serve", "ride_trio.app.serve"),
        ("loadgen/ride_trio_loadgen/new.py", "import ride_trio_cli.main", "ride_trio_cli.main"),
        ("cli/ride_trio_cli/new.py", "from ride_trio.sessions import Broker", "ride_trio.sessions.Broker"),
    ],
)  # fmt: skip
def test_an_upward_import_is_caught(path: str, source: str, caught: str, tmp_path: Path) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    (line,) = violations(tmp_path)
    assert line.endswith(f" imports {caught}")


def test_a_new_room_must_be_in_the_table(tmp_path: Path) -> None:
    file = tmp_path / "ride_trio" / "attic" / "old.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert violations(tmp_path) == ["ride_trio.attic.old is in no room of the table"]


def test_no_file_is_too_long() -> None:
    files = [
        path for folder in ("ride_trio", "cli", "loadgen", "tests", "proto") for path in (ROOT / folder).rglob("*.py")
    ]
    written = [path for path in files if not path.is_relative_to(ROOT / "ride_trio" / "pb")]
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in written}
    assert {name: lines for name, lines in long.items() if lines > MAX_FILE_LINES} == {}
