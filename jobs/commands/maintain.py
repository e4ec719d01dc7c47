"""`instructmining maintain`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("maintain")
def maintain(**values: Any) -> None:
    """Optimize the clustered tables and remove files that only old versions need."""
    from jobs.stored.maintain import run_with_session

    run_with_session(settings_of("maintain", values))
