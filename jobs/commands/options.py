"""Options that the commands share."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from instructmining.settings.sections import Tracking, load_settings


def flag(name: str, help_text: str) -> Any:
    """A boolean that may be written `--name` or `--name=true|false`, as job parameters are."""
    return click.option(
        name, type=bool, is_flag=False, flag_value="true", default=None, help=help_text
    )


def spelled_out(arguments: Sequence[str], command: click.Command) -> list[str]:
    """`--flag` as `--flag=true`, but before the word true or false: click would take any word."""
    flags = set(_flags(command))
    following = (*arguments[1:], "")
    return [
        f"{each}=true" if each in flags and after.lower() not in ("true", "false") else each
        for each, after in zip(arguments, following, strict=False)
    ]


def _flags(command: click.Command) -> Iterator[str]:
    """The names that `flag` made, of a command and of those below it."""
    for option in command.params:
        if isinstance(option, click.Option) and option.flag_value == "true":
            yield from option.opts
    for below in getattr(command, "commands", {}).values():
        yield from _flags(below)


def common(command: Any) -> Any:
    """Options that every command takes."""
    for option in (
        click.option("--settings", "settings_file", metavar="FILE", help="YAML settings."),
        click.option("--set", "sets", multiple=True, metavar="A.B=VALUE", help="One setting."),
        click.option("--tracking-uri", help="MLflow store; `none` records nothing."),
    ):
        command = option(command)
    return command


def tracking_of(given: dict[str, Any]) -> Tracking:
    """Where MLflow is, of the options of `common`."""
    options = {"tracking": {"uri": given["tracking_uri"]}}
    return load_settings(given["settings_file"], given["sets"], options).tracking
