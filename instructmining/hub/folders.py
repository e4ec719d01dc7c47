"""A subset as a folder that the library `datasets` reads: for the hub, or as `save_to_disk` has it.

The columns are those that a trainer expects and no more: a `prompt` beside `messages` would be read
as a data set of prompts.
"""

from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import yaml
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.selecting.card import Card
from instructmining.selecting.export_files import Written, write_table
from instructmining.selecting.export_target import Target

COLUMNS = ("messages", "structure", "example_id", "source", "rank", "score")
# Of the hub: https://huggingface.co/docs/hub/datasets-cards
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
_NAMES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")


def write_folder(rows: DataFrame, target: Target, overwrite: bool) -> Written:
    """Write the chosen examples, best first, with the columns `COLUMNS`.

    Args:
        rows: the columns of the table `examples`, with rank, source and score.
        target: a folder: of kind `hub` (Parquet in `data`, by the tasks) or `save_to_disk`
            (Arrow files, row by row through the driver).
        overwrite: replace what is there.

    Raises:
        UserError: the library is not installed, for `save_to_disk`.
    """
    messages = F.transform(
        "messages",
        lambda turn: F.struct(turn["role"].alias("role"), turn["content"].alias("content")),
    )
    ordered = rows.withColumn("messages", messages).select(*COLUMNS).orderBy("rank")
    if target.kind == "hub":
        data = replace(target, kind="parquet", place=f"{target.place}/data")
        write_table(ordered, data, overwrite)
        said = "a data set of the hub: Parquet in data, README.md"
    else:
        _save_to_disk(ordered, Path(target.place), overwrite)
        said = "as `Dataset.save_to_disk` writes it"
    return Written([target.place], f"{said}; columns {', '.join(COLUMNS)}", [])


def _save_to_disk(ordered: DataFrame, folder: Path, overwrite: bool) -> None:
    try:
        import datasets
        from datasets.arrow_writer import ArrowWriter
    except ImportError:
        raise UserError(
            "--as save_to_disk needs the package datasets: pip install 'instructmining[hub]'"
        ) from None
    text = datasets.Value("string")
    features = datasets.Features(
        {
            "messages": datasets.List({"role": text, "content": text}),
            **dict.fromkeys(("structure", "example_id", "source"), text),
            "rank": datasets.Value("int64"),
            "score": datasets.Value("float64"),
        }
    )
    if overwrite and folder.exists():
        rmtree(folder)
    with TemporaryDirectory() as cache:
        file = f"{cache}/rows.arrow"
        with ArrowWriter(path=file, features=features) as writer:
            for row in ordered.toLocalIterator():
                writer.write(row.asDict(recursive=True))
            writer.finalize()
        datasets.Dataset.from_file(file).save_to_disk(str(folder))


def front_matter(card: Card, target: Target) -> str:
    """The YAML at the head of the card of a data set of the hub; empty for other exports.

    The licence is not known: it is that of the sources, which their owner has to look up.
    """
    if target.kind != "hub":
        return ""
    facts = card.facts
    select = card.settings.select
    about = {
        "license": "unknown",
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "instructmining"],
        "size_categories": [size_category(facts.size)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "data/*.parquet"}],
            }
        ],
        "instructmining": {
            "subset": facts.subset,
            "strategy": select.strategy,
            "rule": None if card.rule is None else f"{card.rule.name} {card.rule.version}",
            "seed": select.seed,
            "sources": {
                str(name): int(count) for name, count in facts.sources["selected"].items() if count
            },
        },
    }
    return f"---\n{yaml.safe_dump(about, sort_keys=False, allow_unicode=True)}---\n\n"


def size_category(rows: int) -> str:
    """The hub's name for a number of rows, such as `1K<n<10K`."""
    place = sum(rows >= limit for limit in _SIZES)
    if place == 0:
        return "n<1K"
    return f"{_NAMES[place - 1]}<n<{_NAMES[place]}" if place < len(_NAMES) else "1B<n<10B"
