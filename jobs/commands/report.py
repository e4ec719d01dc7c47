"""`instructmining report`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("report")
def report(**values: Any) -> None:
    """Write one HTML page about a scored pool."""
    from jobs.stored.report import run_with_session

    run_with_session(settings_of("report", values))
