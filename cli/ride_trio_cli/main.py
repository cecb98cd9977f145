"""The commands of `ride-trio`, put together. What only one needs, it imports when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from ride_trio import __version__
from ride_trio_cli import bench, config, consume, demo, groups, load, log, produce, serve, top, topics
from ride_trio_cli.settings_options import with_settings_options

app = typer.Typer(
    name="ride-trio",
    help="Live sessions for riders and drivers over gRPC, matched, and a durable log.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback as Python prints it, for logs and issues
)
app.command()(with_settings_options(serve.serve))
app.command()(with_settings_options(config.config))
app.command()(with_settings_options(demo.demo, leave_out=demo.OWN_SETTINGS))
app.command()(top.top)
app.add_typer(load.app, name="load")
app.add_typer(bench.app, name="bench")
app.add_typer(topics.app, name="topics")
app.command()(produce.produce)
app.command()(consume.consume)
app.add_typer(groups.app, name="groups")
app.add_typer(log.app, name="log")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ride-trio {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Live sessions for riders and drivers over gRPC, matched, and a durable log."""
