"""`ride-trio groups`: look at the log's consumer groups, remove them, set where they go on."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ride_trio_cli.log_positions import ALLOWED, Position, read_position
from ride_trio_cli.log_server import AsJson, LogServer, with_log_server
from ride_trio_cli.tables import print_json, print_table

if TYPE_CHECKING:
    from ride_trio.pb.takhin.v1 import takhin_pb2 as pb
    from ride_trio_cli.log_client import LogClient

app = typer.Typer(help="Look at the log's consumer groups, remove them, set where they go on.", no_args_is_help=True)

Group = Annotated[str, typer.Argument(metavar="GROUP", help="The group.")]


@app.command("list")
@with_log_server
def list_(server: LogServer, as_json: AsJson = False) -> None:
    """Show the groups: Stable ones have members, Empty ones have none."""
    found = sorted((g.group_id, g.state, g.member_count) for g in server.run(lambda log: log.groups()))
    if as_json:
        print_json([{"group": group, "state": state, "members": members} for group, state, members in found])
    elif found:
        print_table(("group", "state", "members"), found)
    else:
        typer.echo("no groups yet: `ride-trio consume TOPIC --group GROUP` makes one", err=True)


@app.command()
@with_log_server
def describe(server: LogServer, group: Group, as_json: AsJson = False) -> None:
    """Show a group's members with what is assigned to them, and of each partition how far the group is behind."""
    found = server.run(lambda log: log.group(group))
    if as_json:
        print_json(_as_data(found))
        return
    typer.echo(f"{found.group_id}: {found.state}, generation {found.generation}, {found.assignor or 'no'} assignor")
    if found.members:
        members = [(m.member_id, m.client_id, m.client_host, _assigned(m)) for m in found.members]
        print_table(("member", "client", "host", "assigned"), members)
    if found.lag:
        rows = [(r.topic, r.partition, _committed(r), r.end_offset, r.lag, r.member_id or "-") for r in found.lag]
        print_table(("topic", "partition", "committed", "ends at", "lag", "member"), rows)


@app.command()
@with_log_server
def delete(server: LogServer, group: Group, as_json: AsJson = False) -> None:
    """Remove a group and its offsets. Only a group without members can be removed."""
    server.run(lambda log: log.delete_group(group))
    if as_json:
        print_json({"deleted": group})
    else:
        typer.echo(f"deleted {group}")


@app.command()
@with_log_server
def reset(
    server: LogServer,
    group: Group,
    topic: Annotated[str, typer.Option(help="Whose offsets.")],
    to: Annotated[str, typer.Option(help=f"Where to go on: {ALLOWED}.", metavar="POSITION")],
    partition: Annotated[int | None, typer.Option(help="Only this one.", min=0, max=2**31 - 1)] = None,
    as_json: AsJson = False,
) -> None:
    """Set where a group goes on in a topic: in all of its partitions or none. The group may have no members then.

    A time is that of the first record of then or later; where there is none it is the end.
    """
    position = read_position("--to", to)
    offsets = server.run(lambda log: _reset(log, group, topic, partition, position))
    if as_json:
        rows = [{"topic": topic, "partition": number, "offset": offset} for number, offset in offsets]
        print_json({"group": group, "offsets": rows})
    else:
        print_table(("partition", "goes on at"), offsets, f"{group} in {topic}")


async def _reset(
    log: LogClient, group: str, topic: str, partition: int | None, position: Position
) -> list[tuple[int, int]]:
    """Commit, and return each partition with its offset."""
    offsets = await log.offsets(topic, partition, position)
    await log.commit(group, {(topic, number): offset for number, offset in offsets.items()})
    return sorted(offsets.items())


def _assigned(member: pb.ConsumerGroupMember) -> str:
    """`orders: 0, 1; rides: 2`."""
    topics = defaultdict(list)
    for one in member.assignments:
        topics[one.topic].append(one.partition)
    return "; ".join(f"{topic}: {', '.join(map(str, sorted(numbers)))}" for topic, numbers in sorted(topics.items()))


def _committed(row: pb.PartitionLag) -> str | int:
    return "-" if row.committed_offset < 0 else row.committed_offset


def _as_data(found: pb.DescribeConsumerGroupResponse) -> dict[str, Any]:
    """Without a commit `committed_offset` is null; what is nobody's has an empty `member_id`."""
    return {
        "group": found.group_id,
        "state": found.state,
        "generation": found.generation,
        "assignor": found.assignor,
        "members": [
            {
                "member_id": m.member_id,
                "client_id": m.client_id,
                "client_host": m.client_host,
                "assignments": [{"topic": a.topic, "partition": a.partition} for a in m.assignments],
            }
            for m in found.members
        ],
        "lag": [
            {
                "topic": r.topic,
                "partition": r.partition,
                "committed_offset": None if r.committed_offset < 0 else r.committed_offset,
                "end_offset": r.end_offset,
                "lag": r.lag,
                "member_id": r.member_id,
            }
            for r in found.lag
        ],
    }
