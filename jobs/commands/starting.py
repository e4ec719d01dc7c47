"""`instructmining doctor`, `init` and `completion`: before the first run."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from jobs.commands.options import options_of, settings_of

_PROGRAM = "instructmining"


@click.command()
@options_of("doctor")
def doctor(**values: Any) -> None:
    """Look at what a run needs here: ok or a remedy for each; exit code 1 where one is missing."""
    from jobs.starting.doctor import checks, page

    settings = settings_of("doctor", values)
    text, ready = page(checks(settings.store, settings.tracking.uri, settings.models))
    click.echo(text)
    if not ready:
        raise SystemExit(1)


@click.command()
@click.argument("data", nargs=-1)
@click.option(
    "--to", default="instructmining.yml", show_default=True, metavar="FILE", help="What to write."
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
def init(data: tuple[str, ...], to: str, overwrite: bool) -> None:
    """Look at the first records of DATA and write a commented settings file for them."""
    from jobs.starting.first_settings import write_settings

    click.echo(write_settings(data, Path(to), overwrite))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options: eval "$(… completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has all three
    script = kind(context.find_root().command, {}, _PROGRAM, "_INSTRUCTMINING_COMPLETE")
    click.echo(script.source())
