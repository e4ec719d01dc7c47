"""`instructmining fit`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("fit")
def fit(**values: Any) -> None:
    """Learn a rule from finetuned subsets and register it as a candidate."""
    from jobs.fitting.run import run_with_session

    run_with_session(settings_of("fit", values))
