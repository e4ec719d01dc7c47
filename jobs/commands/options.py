"""Options that the commands share."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import click

from instructmining.errors import UserError
from instructmining.layouts.field_names import split_names, unquoted, written
from instructmining.settings.sections import Tracking, load_settings

_LAYOUTS = ({"prompt", "response"}, {"turns", "role", "content"}, {"transcript"})


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


def names_of(text: str | None) -> tuple[str, ...] | None:
    """The fields that an option lists, separated by commas; see `layouts.field_names`."""
    return None if text is None else tuple(map(unquoted, split_names(text)))


def name_of(text: str | None) -> str | None:
    """The one field that an option names."""
    return None if text is None else unquoted(text)


def columns_of(text: str | None) -> dict[str, str] | None:
    """`--columns`: what each of the user's fields is, or what his data call a speaker.

    Raises:
        UserError: a part has no equals sign, or the columns do not make up a conversation.
    """
    if text is None:
        return None
    if any("=" not in part for part in split_names(text)):
        raise UserError(_with_quotes(text))
    parts = (part.partition("=") for part in split_names(text))
    columns = {key.strip(): unquoted(value.strip()) for key, _, value in parts}
    if not any(names <= set(columns) for names in _LAYOUTS) or not all(columns.values()):
        raise UserError(
            "--columns needs prompt=FIELD,response=FIELD, or turns=LIST,role=FIELD,"
            "content=FIELD, or transcript=FIELD,user=NAME,assistant=NAME"
        )
    return columns


def _with_quotes(text: str) -> str:
    """What to write where a part has no equals sign: mostly the rest of a name with a comma."""
    pairs: list[str] = []
    for part in text.split(","):
        if "=" in part or not pairs:
            pairs.append(part)
        else:
            pairs[-1] += f",{part}"
    named = (pair.partition("=") for pair in pairs)
    mended = ",".join(f"{key.strip()}={written([value.strip()])}" for key, _, value in named)
    return (
        "--columns: each part is NAME=FIELD, and a field whose name holds a comma stands in double "
        f"quotes: --columns {shlex.quote(mended)}"
    )
