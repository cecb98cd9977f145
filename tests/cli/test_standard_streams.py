"""Standard input and output in threads."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from ride_trio_cli.standard_streams import LineTooLongError, Output, read_lines

PATIENCE_S = 10
Pipe = tuple[io.FileIO, io.FileIO]

PIPE_BYTES = 65_536  # what Linux lets into a pipe


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Both ends, reading and writing; a test may close what it likes."""
    reading, writing = os.pipe()
    with io.FileIO(reading) as reader, io.FileIO(writing, "w") as writer:
        yield reader, writer


async def lines_of(file: int, max_bytes: int = 100) -> list[bytes]:
    with trio.fail_after(PATIENCE_S):
        return [line async for line in read_lines(file, max_bytes)]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"one", [b"one"]),
        (b"one\n", [b"one"]),
        (b"one\n\ntwo\r\nthr", [b"one", b"", b"two\r", b"thr"]),
        (b"\n", [b""]),
        (b"\x00\xff\n", [b"\x00\xff"]),
    ],
)
async def test_a_line_ends_with_a_line_feed_or_the_file(content: bytes, lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert await lines_of(file.fileno()) == lines


async def test_lines_come_as_they_are_written(pipe: Pipe) -> None:
    lines = read_lines(pipe[0].fileno(), 100)
    with trio.fail_after(PATIENCE_S):
        pipe[1].write(b"one\ntw")
        assert await anext(lines) == b"one"
        pipe[1].write(b"o\n")
        assert await anext(lines) == b"two"
        pipe[1].close()
        with pytest.raises(StopAsyncIteration):
            await anext(lines)


async def test_a_line_may_be_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"x" * 1_000_000 + b"\nend")
    with path.open("rb") as file:
        assert [len(line) for line in await lines_of(file.fileno(), 1_000_000)] == [1_000_000, 3]


async def test_of_a_line_that_is_too_long_not_all_is_read(pipe: Pipe) -> None:
    pipe[1].write(b"fine\n" + b"x" * 101)
    lines = read_lines(pipe[0].fileno(), 100)
    with trio.fail_after(PATIENCE_S):
        assert await anext(lines) == b"fine"
        with pytest.raises(LineTooLongError, match="longer than 100 bytes"):
            await anext(lines)


async def test_reading_can_be_cancelled_while_nothing_comes(pipe: Pipe) -> None:
    with trio.fail_after(PATIENCE_S), trio.move_on_after(0.01) as scope:
        await anext(read_lines(pipe[0].fileno(), 100))
    assert scope.cancelled_caught


async def test_all_is_written_however_slowly_it_is_read(pipe: Pipe) -> None:
    data = os.urandom(3 * PIPE_BYTES)
    got = b""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Output(pipe[1].fileno()).write, data)
            while len(got) < len(data):
                got += await trio.to_thread.run_sync(os.read, pipe[0].fileno(), 10_000)
    assert got == data


async def test_writing_can_be_cancelled_while_nobody_reads(pipe: Pipe) -> None:
    with trio.fail_after(PATIENCE_S), trio.move_on_after(0.01) as scope:
        await Output(pipe[1].fileno()).write(b"x" * 2 * PIPE_BYTES)
    assert scope.cancelled_caught


async def test_a_pipe_that_nobody_reads_any_more_is_an_error_and_is_known_without_writing(
    pipe: Pipe,
) -> None:
    output = Output(pipe[1].fileno())
    with trio.move_on_after(0.01) as scope:
        await output.wait_closed()
    assert scope.cancelled_caught
    pipe[0].close()
    with trio.fail_after(PATIENCE_S):
        await output.wait_closed()
        with pytest.raises(BrokenPipeError):
            await output.write(b"x")


async def test_a_file_is_never_closed_by_who_reads_it(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file, trio.move_on_after(0.01) as scope:
        await Output(file.fileno()).wait_closed()
    assert scope.cancelled_caught
