"""Where an export goes: what `--to` and `--as` mean together, and what may not be written over."""

import re
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Literal

from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.layouts.writing import LAYOUTS
from instructmining.settings.sections import Export
from instructmining.spark.paths import absolute

Kind = Literal["lines", "parquet", "delta", "hub", "save_to_disk", "table"]
_FORMS: tuple[Kind, ...] = ("parquet", "delta", "hub", "save_to_disk")  # that `--as` names too
PREFERENCE = "preference"
_ENDINGS: tuple[tuple[str, Kind], ...] = (
    (".jsonl", "lines"),
    (".ndjson", "lines"),
    (".jsonl.gz", "lines"),
    (".ndjson.gz", "lines"),
    (".parquet", "parquet"),
    (".delta", "delta"),
)


@dataclass(frozen=True)
class Target:
    """Where an export goes.

    Attributes:
        kind: one file of JSON lines, a folder of Parquet or Delta, a data set of the hub or of
            `save_to_disk` in a folder, or a table of the catalog.
        place: an absolute path or URI, or the table's name.
        layout: `auto`, `original`, `preference` or a name of `LAYOUTS`; of JSON lines only.
        trainer: the training program that JSON lines are for; None: for none of them.
    """

    kind: Kind
    place: str
    layout: str
    trainer: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether Python itself can look at the place."""
        return self.kind != "table" and "://" not in self.place

    @property
    def card(self) -> Path | None:
        """The file of the dataset card, beside the export."""
        if not self.is_local:
            return None
        path = Path(self.place)
        if self.kind == "hub":
            return path / "README.md"
        return path.with_name(re.sub(r"(\.[a-z]+)(\.gz)?$", "", path.name) + ".md")


def target_of(export: Export) -> Target | None:
    """What `--to` and `--as` mean together; None where nothing is to be exported.

    Raises:
        UserError: the ending says no format, or the layout is of another one.
    """
    if export.to is None:
        if export.trainer is not None:
            raise UserError(f"--for {export.trainer} writes a file: name it with --to FILE.jsonl")
        return None
    form = export.layout if export.layout in _FORMS else None
    known = ("auto", "original", *LAYOUTS, PREFERENCE, *_FORMS)
    if export.layout not in known:
        raise UserError(f"--as {export.layout}: name one of {', '.join(known)}")
    if export.to.startswith("table:"):
        target = Target("table", export.to.removeprefix("table:"), "original")
    else:
        ending = next((kind for end, kind in _ENDINGS if export.to.endswith(end)), None)
        kind = form or ending
        if kind is None or (form and ending not in (None, form)):
            raise UserError(
                f"--to {export.to}: end it in .jsonl, .jsonl.gz, .parquet or .delta, "
                "or write table:NAME, or a folder with --as parquet"
            )
        layout = export.layout if kind == "lines" else "original"
        target = Target(kind, absolute(export.to), layout, export.trainer)
    if target.kind != "lines" and export.layout in (*LAYOUTS, PREFERENCE):
        raise UserError(
            f"--as {export.layout} is a layout of JSON lines, which --to {export.to} is not: a "
            "table has the columns prompt, response, messages, structure and raw"
        )
    if export.trainer is not None:
        _refuse_for_trainer(export, target)
    if target.kind in ("hub", "save_to_disk") and not target.is_local:
        raise UserError(f"--as {target.kind} writes to a local or mounted folder, not {export.to}")
    if target.kind == "lines" and not target.is_local:
        raise UserError(
            f"--to {export.to}: a single file is written to a local or mounted path; "
            "for this place end it in .parquet or .delta"
        )
    return target


def _refuse_for_trainer(export: Export, target: Target) -> None:
    """A training program has a layout of its own, in a file of JSON lines."""
    if target.kind != "lines" or target.place.endswith(".gz"):
        raise UserError(
            f"--for {export.trainer} writes JSON lines: end --to {export.to} in .jsonl instead"
        )
    if export.layout != "auto":
        raise UserError(
            f"--for {export.trainer} has a layout of its own: leave out --as {export.layout}"
        )


def refuse_existing(spark: SparkSession | None, target: Target, overwrite: bool) -> None:
    """Never write over what is there, unless told to; without a session no table is looked for.

    Raises:
        UserError: there is something, or the place cannot hold the file.
    """
    if target.kind == "table":
        is_there = spark is not None and spark.catalog.tableExists(target.place)
        existing = [target.place] if is_there else []
    else:
        local = [Path(target.place), target.card] if target.is_local else []
        existing = [str(path) for path in local if path is not None and path.exists()]
        if target.kind == "lines" and Path(target.place).is_dir():
            raise UserError(f"--to {target.place} is a folder, and JSON lines are one file")
    if existing and not overwrite:
        raise UserError(f"{existing[0]} exists: give another --to, or --overwrite")


def of_layout(path: Path, name: str) -> Path:
    """The file of one of several layouts: `best.jsonl.gz` as `best.alpaca.jsonl.gz`."""
    ending = "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:])
    return path.with_name(f"{path.name.removesuffix(ending)}.{name}{ending}")


def exported_files(path: Path) -> list[Path]:
    """The files that an export to this path may have left: itself, and one per layout."""
    beside = path.parent.glob(of_layout(Path(escape(path.name)), "*").name)
    return [place for place in (path, *sorted(beside)) if place.exists()]
