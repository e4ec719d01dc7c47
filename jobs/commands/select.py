"""`instructmining select`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("select")
def select(**values: Any) -> None:
    """Choose the best examples of a scored pool and export them."""
    from jobs.selecting.run import run_with_session

    run_with_session(settings_of("select", values))
