"""`instructmining maintain`: OPTIMIZE and VACUUM of a store's tables."""

from typing import Any

import click

from instructmining.settings.sections import load_settings
from jobs.commands.options import common, flag


@click.command()
@click.option("--store", "--output", "store", help="Folder, or catalog.schema.")
@click.option(
    "--retention-hours", type=int, help="Time travel reaches so far back afterwards; at least 168."
)
@flag("--dry-run", "Only say what would be removed.")
@common
def maintain(**given: Any) -> None:
    """Optimize the clustered tables, remove files that only old versions need."""
    from jobs.stored.maintain import run_with_session

    options = {
        "store": given["store"],
        "dry_run": given["dry_run"],
        "maintain": {"retention_hours": given["retention_hours"]},
        "tracking": {"uri": given["tracking_uri"]},
    }
    run_with_session(load_settings(given["settings_file"], given["sets"], options))
