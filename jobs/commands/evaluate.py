"""`instructmining evaluate`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("evaluate")
def evaluate(**values: Any) -> None:
    """Finetune on the selection and on its rivals; say which is better, with intervals."""
    from instructmining.spark.session import with_session
    from jobs.evaluating.run import run

    with_session(run, settings_of("evaluate", values))
