"""Makes `ride_trio/pb/` from the .proto files beside this script.

    python proto/generate.py            write ride_trio/pb/
    python proto/generate.py --check    generate elsewhere, compare, exit 1 if ride_trio/pb/ is not the same

protoc (from grpcio-tools) makes the messages and their .pyi, purerpc's plugin the servicers and stubs. Three
things in that output don't fit a package inside a package, and are rewritten here:

1. Imports follow the proto path (`import ride.v1.ride_pb2`). They become `from ride_trio.pb.ride.v1 import
   ride_pb2`, and the classes' `__module__` follows, so that they can be pickled. The descriptors keep their
   canonical file names (`ride/v1/ride.proto`): server reflection shows them.
2. Messages register in protobuf's process-wide default pool. There a second copy of the same names is an
   error unless it is the same to the byte, file name included: a user who compiles ride.proto with another
   -I, or imports grpcio-health-checking, would clash with us. Ours go to a pool of our own,
   `ride_trio.pb.POOL`.
3. The plugin's servicers and stubs have no types. A .pyi is added: a stub's methods return messages, and a
   servicer declares no methods, because a handler's shape (async generator or coroutine, with or without the
   call as its second parameter) is the handler's own choice.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

PROTO_DIR = Path(__file__).resolve().parent
PB_DIR = PROTO_DIR.parent / "ride_trio" / "pb"
PACKAGE = "ride_trio.pb"

POOL_MODULE = '''"""Generated from proto/ by proto/generate.py: do not edit."""

from google.protobuf.descriptor_pool import DescriptorPool

# Not protobuf's default pool: in that one our names would clash with a user's own compile of the same files.
POOL = DescriptorPool()
'''
PACKAGE_MODULE = '"""Generated from proto/ by proto/generate.py: do not edit."""\n'


def generate(target: Path) -> None:
    """Write the whole package `ride_trio.pb` into the folder `target`, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in compile_protos(target):
        stem = file.name.removesuffix(".proto")
        rewrite(target / f"{stem}_pb2.py", messages_module)
        rewrite(target / f"{stem}_pb2.pyi", package_imports)
        rewrite(target / f"{stem}_grpc.py", package_imports)
        (target / f"{stem}_grpc.pyi").write_text(services_interface(file))
    add_package_modules(target)


def compile_protos(target: Path) -> list[FileDescriptorProto]:
    """Run protoc over every .proto file; return what it understood."""
    names = sorted(str(path.relative_to(PROTO_DIR)) for path in PROTO_DIR.rglob("*.proto"))
    plugin = Path(sys.executable).parent / "protoc-gen-purerpc"
    descriptors = target / "descriptors.bin"
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "purerpc")]
    arguments = [
        f"-I{PROTO_DIR}",
        f"--plugin=protoc-gen-purerpc={plugin}",
        f"--descriptor_set_out={descriptors}",
    ]
    if protoc.main(["protoc", *arguments, *outputs, *names]) != 0:
        raise SystemExit("protoc failed")
    files = FileDescriptorSet.FromString(descriptors.read_bytes()).file
    descriptors.unlink()
    return list(files)


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Replace the text of a file by `change(text)`; a generated file ends with one newline."""
    path.write_text(change(path.read_text()).rstrip("\n") + "\n")


def messages_module(text: str) -> str:
    """A `_pb2.py` with our pool, our module name and our imports."""
    text = replace_once(text, "_descriptor_pool.Default()", "_POOL")
    pool_import = "from google.protobuf import descriptor_pool as _descriptor_pool"
    text = replace_once(text, pool_import, f"from {PACKAGE} import POOL as _POOL")
    build = "BuildTopDescriptorsAndMessages(DESCRIPTOR, '"
    return package_imports(replace_once(text, build, f"{build}{PACKAGE}."))


def replace_once(text: str, old: str, new: str) -> str:
    """`text.replace`, for what must be there exactly once; else protoc's output is not what we know."""
    if text.count(old) != 1:
        raise SystemExit(f"protoc's output has changed: {old!r} is there {text.count(old)} times")
    return text.replace(old, new)


def package_imports(text: str) -> str:
    """Our own modules: protoc imports them as `from a.b import c_pb2`, purerpc `import a.b.c_pb2 as x`."""
    text = re.sub(r"^import (\S+)\.(\w+_pb2) as ", rf"from {PACKAGE}.\1 import \2 as ", text, flags=re.MULTILINE)
    ours = r"^from (?!google\.|ride_trio\.)(\S+) import (\w+_pb2)\b"
    return re.sub(ours, rf"from {PACKAGE}.\1 import \2", text, flags=re.MULTILINE)


def services_interface(file: FileDescriptorProto) -> str:
    """The `_grpc.pyi` of a file's services."""
    package, _, module = file.name.removesuffix(".proto").replace("/", ".").rpartition(".")
    lines = [
        "from collections.abc import AsyncGenerator, Awaitable, Callable",
        "from typing import Any",
        "",
        "import purerpc",
        f"from {PACKAGE}.{package} import {module}_pb2",
    ]
    for service in file.service:
        lines += service_interface(service, {f".{file.package}.": f"{module}_pb2."})
    return "\n".join(lines) + "\n"


def service_interface(service: ServiceDescriptorProto, modules: dict[str, str]) -> Iterator[str]:
    """A servicer and a stub as purerpc's plugin makes them; `modules` maps a proto prefix to a Python one."""
    yield f"\nclass {service.name}Servicer(purerpc.Servicer):"
    yield "    @property\n    def service(self) -> purerpc.Service: ..."
    yield f"\nclass {service.name}Stub:"
    yield "    def __init__(self, channel: object) -> None: ..."
    for method in service.method:
        yield f"    {method.name}: Callable[..., {stub_result(method, modules)}]"


def stub_result(method: MethodDescriptorProto, modules: dict[str, str]) -> str:
    """What calling a stub's method gives.

    With streams both ways it depends: an async generator, or without an iterator of requests an awaitable.
    """
    if method.client_streaming and method.server_streaming:
        return "Any"
    prefix = next(prefix for prefix in modules if method.output_type.startswith(prefix))
    message = modules[prefix] + method.output_type.removeprefix(prefix)
    return f"AsyncGenerator[{message}, None]" if method.server_streaming else f"Awaitable[{message}]"


def add_package_modules(target: Path) -> None:
    """Make `target` and every folder below it a package."""
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").write_text(POOL_MODULE if folder == target else PACKAGE_MODULE)


def differences(expected: Path, actual: Path) -> list[str]:
    """Relative names of the files that are not the same in both folders, or are in one only."""
    names = {path.relative_to(root) for root in (expected, actual) for path in root.rglob("*.py*")}
    sources = sorted(name for name in names if name.suffix in {".py", ".pyi"})
    return [str(name) for name in sources if not same(expected / name, actual / name)]


def same(left: Path, right: Path) -> bool:
    return left.is_file() and right.is_file() and left.read_bytes() == right.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make ride_trio/pb/ from proto/.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if ride_trio/pb/ is out of date")
    if not parser.parse_args().check:
        return generate(PB_DIR)
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch) / "pb")
        stale = differences(Path(scratch) / "pb", PB_DIR)
    if stale:
        raise SystemExit("not what proto/ generates (run: just gen): " + ", ".join(stale))


if __name__ == "__main__":
    main()
