"""`instructmining select`."""

from typing import Any

import click

from jobs.commands.options import options_of, settings_of


@click.command()
@options_of("select")
def select(**values: Any) -> None:
    """Choose the best examples of a scored pool and export them."""
    from instructmining.selecting.export_target import refuse_existing, target_of
    from instructmining.spark.session import with_session
    from jobs.selecting.run import run

    settings = settings_of("select", values)
    target = target_of(settings.export)
    if target is not None:  # a mistake in it should not cost the start of a session
        refuse_existing(None, target, settings.export.overwrite)
    with_session(run, settings)
