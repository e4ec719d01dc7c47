"""`instructmining score` and `import`: what puts indicators into a store."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@click.argument("more_input", metavar="[DATA]...", nargs=-1)
@options_of("score")
def score(more_input: tuple[str, ...], **values: Any) -> None:
    """Measure indicators, apply the rule, write scored Delta tables."""
    settings = settings_of("score", values | {"input": (*values["input"], *more_input)})
    if settings.dry_run:
        from jobs.scoring.dry_run import run_with_session
    else:
        from jobs.scoring.run import run_with_session
    run_with_session(settings)


@click.command("import")
@options_of("import")
def import_scores(**values: Any) -> None:
    """Join scores in other files to the examples of a store, as indicators."""
    from jobs.importing.run import run_with_session

    run_with_session(settings_of("import", values))
