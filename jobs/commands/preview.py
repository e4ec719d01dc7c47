"""`instructmining preview`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@click.argument("more_input", metavar="[DATA]...", nargs=-1)
@options_of("preview")
def preview(more_input: tuple[str, ...], **values: Any) -> None:
    """Show how records will be read: layout, fields, what is not read. No model, no store."""
    from jobs.scoring.preview import run

    run(settings_of("preview", values | {"input": (*values["input"], *more_input)}))
