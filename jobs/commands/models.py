"""`instructmining models fetch | check`: weights at hand before any cluster time is spent."""

import json
import shutil
from pathlib import Path
from typing import Any

import click

from instructmining.errors import UserError
from instructmining.models.lists import IMPORTED
from jobs.commands.options import common, tracking_of
from udfs.indicators import load_model_list, resolve

_PROBE = [
    {"role": "user", "content": "Name the capital of France."},
    {"role": "assistant", "content": "The capital of France is Paris, a city on the river Seine."},
]


@click.group()
def models() -> None:
    """Model weights: fetch them once, check that they load."""


@models.command()
@click.argument("name", default="embedded")
@click.option(
    "--to", metavar="FOLDER", help="Copy the folders there, for machines without a network."
)
@common
def fetch(name: str, to: str | None, **shared: Any) -> None:
    """Download the models of a list; print where they are and their fingerprints."""
    tracking = tracking_of(shared)
    for stage, spec in load_model_list(name).stages.items():
        model = resolve(spec, tracking)
        folder = model.folder
        if to and folder:
            folder = str(Path(to) / stage)
            shutil.copytree(model.folder, folder, dirs_exist_ok=True)
        click.echo(f"{stage:<12} {model.fingerprint}  {folder or 'no weights'}")


@models.command()
@click.argument("name", default="embedded")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the models are loaded.",
)
@click.option(
    "--dtype",
    type=click.Choice(["auto", "bfloat16", "float32"]),
    default="auto",
    show_default=True,
    help="Precision of the models.",
)
@common
def check(name: str, device: str, dtype: str, **shared: Any) -> None:
    """Load each model of a list here and measure one example with it."""
    from udfs.running.device import choose_device, resolve_dtype
    from udfs.running.scorers import load_scorer

    tracking = tracking_of(shared)
    place = choose_device(device)
    for stage, spec in load_model_list(name).stages.items():
        if spec.kind == IMPORTED:
            click.echo(f"{stage:<12} imported, nothing to load")
            continue
        scorer = load_scorer(resolve(spec, tracking), place, dtype)
        measured = scorer.measure([_PROBE])
        if measured.reasons[0] is not None:
            raise UserError(f"stage {stage}, model {spec.source}: {measured.reasons[0]}")
        values = {key: round(float(value[0]), 4) for key, value in measured.values.items()}
        shown = json.dumps(values) if values else "a vector"
        click.echo(f"{stage:<12} {place} {resolve_dtype(dtype, place)}  {shown}")
