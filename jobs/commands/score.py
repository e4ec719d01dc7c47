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
    from instructmining.spark.session import with_session

    if settings.dry_run:
        from jobs.scoring.dry_run import run as dry_run

        with_session(dry_run, settings)
    else:
        from jobs.scoring.run import run

        with_session(run, settings)


@click.command("import")
@options_of("import")
def import_scores(**values: Any) -> None:
    """Join scores in other files to the examples of a store, as indicators."""
    from instructmining.spark.session import with_session
    from jobs.importing.run import run

    with_session(run, settings_of("import", values))
