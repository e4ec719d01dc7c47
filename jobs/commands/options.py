"""Options of the commands: made from the settings they stand for, and turned back into settings."""

from collections.abc import Callable
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings, Tracking
from jobs.commands.table import OPTIONS, REPEATED
from jobs.commands.values import (
    columns_of,
    indicators_of,
    listed,
    name_of,
    names_of,
    quotas,
    shares,
)

_UNSET = (None, (), "", False)
# Settings whose options have a form of their own.
_READ: dict[str, Callable[[Any], Any]] = {
    "read.columns": columns_of,
    "read.id": name_of,
    "read.keep": names_of,
    "select.quota": quotas,
    "indicators": indicators_of,
    "cascade.shares": shares,
}


def options_of(command: str) -> Callable[[Any], Any]:
    """A decorator that adds a command's options, `--settings`, `--set` and `--tracking-uri`."""

    def decorate(function: Any) -> Any:
        function = common(function)
        for flags, setting in reversed(OPTIONS[command].items()):
            function = _option(flags, setting)(function)
        return function

    return decorate


def common(command: Any) -> Any:
    """Add the options that every command takes."""
    for option in (
        click.option("--tracking-uri", help=_help("tracking.uri")),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="A.B=VALUE",
            help="Any setting by its name, such as knn.neighbors=10.",
        ),
        click.option("--settings", "settings_file", metavar="FILE", help="A YAML settings file."),
    ):
        command = option(command)
    return command


def settings_of(command: str, values: dict[str, Any]) -> Settings:
    """The settings that a command was given.

    Args:
        command: a name in `OPTIONS`.
        values: what click made of its options, None or empty where one was not used.

    Raises:
        UserError: a value is not what the setting takes; names it and says what it takes.
    """
    options: dict[str, Any] = {"tracking": {"uri": values["tracking_uri"]}}
    for setting in OPTIONS[command].values():
        value = _value(setting, values[_parameter(setting)])
        section, _, name = setting.rpartition(".")
        (options.setdefault(section, {}) if section else options)[name] = value
    return load_settings(values["settings_file"], values["sets"], options)


def tracking_of(values: dict[str, Any]) -> Tracking:
    """Where MLflow is, of the options of `common`."""
    options = {"tracking": {"uri": values["tracking_uri"]}}
    return load_settings(values["settings_file"], values["sets"], options).tracking


def field_of(setting: str) -> FieldInfo:
    """The field of a setting such as `knn.neighbors`."""
    model: Any = Settings
    *sections, name = setting.split(".")
    for section in sections:
        model = model.model_fields[section].annotation
    field: FieldInfo = model.model_fields[name]
    return field


def _option(flags: str, setting: str) -> Any:
    """The click option of a setting; its value is None where it is not used."""
    names = (*flags.split(), _parameter(setting))
    kind = _kind(field_of(setting))
    text = _help(setting)
    if kind is bool:
        return click.option(*names, is_flag=True, default=None, help=text)
    if setting in REPEATED:
        return click.option(*names, multiple=True, metavar=REPEATED[setting], help=text)
    if get_origin(kind) is Literal:
        return click.option(*names, type=click.Choice(get_args(kind)), help=text)
    return click.option(*names, type=kind if kind in (int, float) else str, help=text)


def _parameter(setting: str) -> str:
    return setting.replace(".", "__")


def _kind(field: FieldInfo) -> Any:
    """The type of a field, without the None that stands for its absence."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(field.annotation) else field.annotation


def _help(setting: str) -> str:
    """The description of a setting as a terminal shows it, with its default."""
    field = field_of(setting)
    text = (field.description or "").replace("`", "")
    for absent in ("null: ", "Empty: "):
        text = text.replace(absent, "Default: ")
    default = field.get_default(call_default_factory=True)
    if default in _UNSET or default == {}:
        return text
    shown = ",".join(default) if isinstance(default, tuple) else default
    return f"{text} [default: {shown}]"


def _value(setting: str, value: Any) -> Any:
    """What an option says, as its setting takes it; None where it was not used."""
    if value is None or value == ():
        return None
    if setting in _READ:
        return _READ[setting](value)
    is_list = get_origin(_kind(field_of(setting))) is tuple
    return listed(value) if is_list and isinstance(value, str) else value
