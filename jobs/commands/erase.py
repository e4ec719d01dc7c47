"""`instructmining erase`: examples out of every table and file that we know of."""

from typing import Any

import click

from instructmining.settings.sections import load_settings
from jobs.commands.options import common, flag


@click.command()
@click.option("--store", "--output", "store", help="Folder, or catalog.schema.")
@click.option("--id", "ids", multiple=True, metavar="EXAMPLE_ID", help="Of the table examples.")
@click.option("--ids", "ids_file", metavar="FILE", help="A file of them, one a line.")
@click.option("--files", help="The folder that the other commands were given.")
@click.option(
    "--export",
    "exports",
    multiple=True,
    metavar="FILE",
    help="An exported file or folder to look into as well.",
)
@flag("--vacuum-now", "Give up all older versions at once; for a store in a folder.")
@common
def erase(**given: Any) -> None:
    """Erase examples; says until when time travel still reaches them."""
    from jobs.stored.erase import run_with_session

    options = {
        "store": given["store"],
        "files": given["files"],
        "erase": {
            "ids": given["ids"] or None,
            "ids_file": given["ids_file"],
            "exports": given["exports"] or None,
            "vacuum_now": given["vacuum_now"],
        },
        "tracking": {"uri": given["tracking_uri"]},
    }
    run_with_session(load_settings(given["settings_file"], given["sets"], options))
