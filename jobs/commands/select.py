"""`instructmining select`: options to settings."""

from collections.abc import Iterable
from typing import Any

import click

from instructmining.errors import UserError
from instructmining.layouts.writing import LAYOUTS
from instructmining.selecting.selection import STRATEGIES
from instructmining.settings.sections import Settings, load_settings
from jobs.commands.options import common, flag

_SELECT = (
    "strategy",
    "top",
    "fraction",
    "tokens",
    "threshold",
    "percentile",
    "size",
    "per_source",
    "diversity",
    "similarity",
    "candidates",
    "seed",
    "against",
)


@click.command()
@click.option("--store", "--output", "store", help="Folder, or catalog.schema, that `score` wrote.")
@click.option("--pool", help="Scored pool to choose from.")
@click.option("--models", help="The list the pool was scored with.")
@click.option("--rule", help="auto, paper-v1, paper-v2, FILE.json or models:/NAME@ALIAS.")
@click.option("--strategy", help=f"{', '.join(STRATEGIES)}.")
@click.option("--top", type=int, help="So many examples.")
@click.option("--fraction", type=float, help="This share of the pool.")
@click.option("--tokens", type=int, help="Prompts and responses of so many tokens at most.")
@click.option("--threshold", type=float, help="All with this score or a better one.")
@click.option("--percentile", type=float, help="All below this percentile of the prediction.")
@click.option("--size", help="auto or auto:LOW-HIGH: finetune on several sizes, take the best.")
@click.option(
    "--eval",
    "evaluation",
    multiple=True,
    metavar="NAME=DATA",
    help="Data with reference answers, which --size measures the models on.",
)
@click.option("--base", help="Model that --size finetunes; default: the perplexity model.")
@click.option("--epochs", type=int, help="Of each finetune of --size.")
@click.option("--per-source", type=int, help="At most so many of each source.")
@click.option(
    "--quota",
    multiple=True,
    metavar="PATTERN=N",
    help="At most N of the sources that match; below 1, that share.",
)
@click.option("--diversity", help="none, cosine, facility or near_duplicates.")
@click.option("--similarity", type=float, help="Cosine above which two are too close.")
@click.option("--candidates", type=int, help="Best examples that diversity draws from.")
@click.option("--seed", type=int, help="Of the strategy random.")
@click.option(
    "--against",
    "--compare",
    "against",
    metavar="RULE",
    help="Another rule: show what changes between the two.",
)
@click.option(
    "--to", metavar="PLACE", help="FILE.jsonl, FILE.jsonl.gz, X.parquet, X.delta, table:NAME."
)
@click.option("--as", "layout", help=f"original, {', '.join(LAYOUTS)}, parquet or delta.")
@flag("--overwrite", "Write over what --to names.")
@common
def select(**given: Any) -> None:
    """Choose the best examples and export them in the format they came in."""
    from jobs.selecting.run import run_with_session

    run_with_session(select_settings(given))


def select_settings(given: dict[str, Any]) -> Settings:
    """Options of `select` as settings."""
    options = {
        **{key: given[key] for key in ("store", "pool", "models")},
        "rule": {"source": given["rule"]},
        "select": {**{key: given[key] for key in _SELECT}, "quota": quotas(given["quota"])},
        "evaluate": {"evaluation": given["evaluation"] or None},
        "fit": {"base": given["base"]},
        "finetune": {"epochs": given["epochs"]},
        "export": {key: given[key] for key in ("to", "layout", "overwrite")},
        "tracking": {"uri": given["tracking_uri"]},
    }
    return load_settings(given["settings_file"], given["sets"], options)


def quotas(given: Iterable[str]) -> dict[str, float] | None:
    """`PATTERN=N` as a mapping; the pattern may hold an equals sign itself."""
    found = {}
    for each in given:
        pattern, _, value = each.rpartition("=")
        try:
            found[pattern] = float(value)
        except ValueError:
            pattern = ""
        if not pattern:
            raise UserError(f"--quota {each}: write it as PATTERN=NUMBER, such as 'alpaca*=500'")
    return found or None
