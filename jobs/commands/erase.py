"""`instructmining erase`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("erase")
def erase(**values: Any) -> None:
    """Erase examples from a store; list what else holds them, and when older versions go."""
    from instructmining.spark.session import with_session
    from jobs.stored.erase import run

    with_session(run, settings_of("erase", values))
