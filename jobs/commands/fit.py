"""`instructmining fit`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("fit")
def fit(**values: Any) -> None:
    """Learn a rule from finetuned subsets and register it as a candidate."""
    from instructmining.spark.session import with_session
    from jobs.fitting.run import run

    with_session(run, settings_of("fit", values))
