"""`instructmining report` and `explain`: what the scores of a pool say."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("report")
def report(**values: Any) -> None:
    """Write one HTML page about a scored pool."""
    from jobs.stored.report import run_with_session

    run_with_session(settings_of("report", values))


@click.command()
@options_of("explain")
def explain(**values: Any) -> None:
    """Say which terms of the rule make a source, length or column better or worse than the rest."""
    from jobs.stored.explain import run_with_session

    run_with_session(settings_of("explain", values))
