"""`instructmining report`: options → settings → run."""

from typing import Any

import click

from instructmining.settings.sections import Settings, load_settings
from jobs.commands.options import common


@click.command()
@click.option("--store", "--output", "store", help="Folder, or catalog.schema, that `score` wrote.")
@click.option("--files", help="Folder that all nodes see: the page goes there without --to.")
@click.option("--pool", help="Scored pool.")
@click.option("--rule", help="One of those it was scored with; default: the last.")
@click.option("--models", help="The list the pool was scored with: its notes are on the page.")
@click.option("--to", metavar="FILE", help="The page; default: report.html.")
@click.option("--examples", type=int, help="Best, worst and near-duplicates: so many of each.")
@common
def report(**given: Any) -> None:
    """Write one HTML page about a scored pool."""
    from jobs.stored.report import run_with_session

    run_with_session(report_settings(given))


def report_settings(given: dict[str, Any]) -> Settings:
    """Options of `report` as settings."""
    options = {
        **{key: given[key] for key in ("store", "files", "pool", "models")},
        "rule": {"source": given["rule"]},
        "report": {key: given[key] for key in ("to", "examples")},
        "tracking": {"uri": given["tracking_uri"]},
    }
    return load_settings(given["settings_file"], given["sets"], options)
