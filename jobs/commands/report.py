"""`instructmining report` and `explain`: what the scores of a pool say."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("report")
def report(**values: Any) -> None:
    """Write one HTML page about a scored pool."""
    from instructmining.spark.session import with_session
    from jobs.stored.report import run, target_of

    settings = settings_of("report", values)
    target_of(settings.report.to, settings.files)  # a mistake costs no start of a session
    with_session(run, settings)


@click.command()
@options_of("explain")
def explain(**values: Any) -> None:
    """Say which terms of the rule make a source, length or column better or worse than the rest."""
    from instructmining.spark.session import with_session
    from jobs.stored.explain import run

    with_session(run, settings_of("explain", values))
