"""Options that the commands share."""

from typing import Any

import click

from instructmining.settings import Tracking, load_settings


def flag(name: str, help_text: str) -> Any:
    """A boolean that may be written `--name` or `--name=true|false`, as job parameters are."""
    return click.option(name, type=bool, is_flag=False, flag_value="true", default=None,
                        help=help_text)  # fmt: skip


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
