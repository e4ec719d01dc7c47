"""`instructmining maintain`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("maintain")
def maintain(**values: Any) -> None:
    """Optimize the clustered tables and remove files that only old versions need."""
    from instructmining.spark.session import with_session
    from jobs.stored.maintain import run

    with_session(run, settings_of("maintain", values))
