"""Gives a command one option a setting, from the table in `ride_trio.config`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer

from ride_trio.config import SETTINGS, Setting
from ride_trio.errors import SettingsError
from ride_trio_cli.exits import fail_usage


def with_settings_options(command: Callable[..., None], leave_out: Collection[str] = ()) -> Callable[..., None]:
    """Make a typer command of `command(overrides, **own_parameters)`.

    Args:
        command: its first parameter is filled with the settings that were given as options: text by field
            name, as `ride_trio.config.load_settings` takes it. A SettingsError that it raises becomes one
            line and exit code 2.
        leave_out: field names of settings that this command has no option for.
    """
    offered = [setting for setting in SETTINGS if setting.name not in leave_out]

    def run(**given: Any) -> None:
        values = {setting.name: given.pop(setting.name) for setting in offered}
        try:
            command({name: text for name, text in values.items() if text is not None}, **given)
        except SettingsError as error:
            fail_usage(error.message)

    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())[1:]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        + [_parameter(setting) for setting in offered]
    )
    return run


def _parameter(setting: Setting) -> inspect.Parameter:
    option = typer.Option(
        setting.option,
        help=f"{setting.reason} (env {setting.env}, default {setting.default})",
        metavar=setting.kind.metavar,
        show_default=False,
        rich_help_panel="Settings",
    )
    annotation = Annotated[str | None, option]
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
