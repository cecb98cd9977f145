"""`ride-trio topics`: make, remove and look at the log's topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ride_trio_cli.exits import fail, read_pair
from ride_trio_cli.log_server import AsJson, LogServer, with_log_server
from ride_trio_cli.tables import print_json, print_table

if TYPE_CHECKING:
    from ride_trio.pb.takhin.v1.takhin_pb2 import TopicInfo

app = typer.Typer(help="Make, remove and look at the log's topics.", no_args_is_help=True)

_MAX_INT32 = 2**31 - 1  # as far as the wire's partition numbers go; the server says what it allows


@app.command()
@with_log_server
def create(
    server: LogServer,
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 249 letters, digits, '.', '_' and '-'.")],
    partitions: Annotated[
        int, typer.Option(help="How many: 1 to 10,000. They cannot be changed later.", min=1, max=_MAX_INT32)
    ] = 1,
    config: Annotated[
        list[str] | None,
        typer.Option(
            help="retention.ms, retention.bytes, max.message.bytes, cleanup.policy (delete or compact), "
            "compression.type (producer or uncompressed). May be given several times.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a topic. It is on disk when this ends."""
    configs = dict(read_pair("--config", text) for text in config or ())
    server.run(lambda log: log.create_topic(name, partitions, configs))
    if as_json:
        print_json({"created": name, "partitions": partitions, "configs": configs})
    else:
        typer.echo(f"created {name} with {partitions} partition{'s' if partitions > 1 else ''}")


@app.command()
@with_log_server
def delete(
    server: LogServer,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The topic.")],
    as_json: AsJson = False,
) -> None:
    """Remove a topic, its records and the offsets committed on it, at once and for good."""
    server.run(lambda log: log.delete_topic(name))
    if as_json:
        print_json({"deleted": name})
    else:
        typer.echo(f"deleted {name}")


@app.command("list")
@with_log_server
def list_(server: LogServer, as_json: AsJson = False) -> None:
    """Print the topics' names, one a line."""
    names = server.run(lambda log: log.topic_names())
    if as_json:
        print_json(names)
        return
    for name in names:
        typer.echo(name)
    if not names:
        typer.echo("no topics yet: `ride-trio topics create NAME` makes one", err=True)


@app.command()
@with_log_server
def describe(
    server: LogServer,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="All of them by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show topics: their configs and, of each partition, the oldest kept offset and the end, that of the next record.

    Exit code 1 if a topic that is named is not there.
    """
    found = server.run(lambda log: log.topics(names or ()))
    if as_json:
        print_json([_as_data(topic) for topic in found])
    else:
        for topic in found:
            _print_topic(topic)
    missing = sorted(set(names or ()) - {topic.name for topic in found})
    if missing:
        fail(f"no topic {', '.join(missing)}; `ride-trio topics list` shows which there are")


def _partitions(topic: TopicInfo) -> list[tuple[int, int, int]]:
    """Number, beginning and end of each."""
    rows = [(number, info.beginning_offset, info.end_offset) for number, info in topic.partitions.items()]
    return sorted(rows)


def _print_topic(topic: TopicInfo) -> None:
    configs = " ".join(f"{name}={value}" for name, value in sorted(topic.configs.items()))
    print_table(("partition", "begins at", "ends at"), _partitions(topic), f"{topic.name} {configs}".strip())


def _as_data(topic: TopicInfo) -> dict[str, Any]:
    return {
        "name": topic.name,
        "configs": dict(sorted(topic.configs.items())),
        "partitions": [
            {"partition": number, "beginning_offset": begin, "end_offset": end}
            for number, begin, end in _partitions(topic)
        ],
    }
