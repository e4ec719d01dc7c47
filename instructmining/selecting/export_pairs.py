"""Chosen answers beside the answers that their data mark as rejected, for preference tuning."""

from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.layouts.records import Messages
from instructmining.layouts.writing import plain_turn
from instructmining.selecting.export_files import Written, json_line, replacing
from instructmining.selecting.export_target import Target
from instructmining.store.current import rejected_occurrences
from instructmining.store.tables import Store

_PLACE = ("pool", "source", "position")


def write_preferences(store: Store, rows: DataFrame, target: Target) -> Written:
    """Write `prompt`, `chosen`, `rejected`: lists of messages, as TRL and others read them.

    Args:
        store: knows which record an example stood in.
        rows: `rank`, `example_id`, `messages` of the chosen examples.
        target: one local file of JSON lines; it is replaced if it is there.

    Raises:
        UserError: no chosen example stood beside a rejected one.
    """
    pairs = _pairs(store, rows).orderBy("rank", "rejected_id")
    written = 0
    chosen = set()
    with replacing(Path(target.place)) as file:
        for row in pairs.toLocalIterator():
            record = preference_of(
                *([message.asDict() for message in side] for side in (row.messages, row.rejected))
            )
            file.write(json_line(record))
            written += 1
            chosen.add(row.example_id)
        if not written:
            raise UserError(
                "--as preference: no chosen example stood beside a rejected answer in its record"
            )
    without = rows.count() - len(chosen)
    note = f"{without:,} examples are left out: no rejected answer stood beside them"
    said = f"`preference` (prompt, chosen, rejected), {written:,} pairs"
    return Written([target.place], said, [note] * (without > 0))


def _pairs(store: Store, rows: DataFrame) -> DataFrame:
    """`rank, example_id, messages, rejected_id, rejected`: each rejected answer of its record."""
    occurrences = store.read("occurrences").select(*_PLACE, "example_id", "kept")
    rejected = rejected_occurrences(occurrences).select(
        *_PLACE, F.col("example_id").alias("rejected_id")
    )
    beside = occurrences.drop("kept").join(rejected, [*_PLACE])
    beside = beside.where("example_id != rejected_id").select("example_id", "rejected_id")
    texts = store.read("examples").select(
        F.col("example_id").alias("rejected_id"), F.col("messages").alias("rejected")
    )
    chosen = rows.select("rank", "example_id", "messages")
    return chosen.join(beside.distinct(), "example_id").join(texts, "rejected_id")


def preference_of(chosen: Messages, rejected: Messages) -> dict[str, Any]:
    """The turns that both begin with, and what each goes on with."""
    sides = [[plain_turn(message) for message in side] for side in (chosen, rejected)]
    same = 0
    while same < min(map(len, sides)) - 1 and sides[0][same] == sides[1][same]:
        same += 1
    return {"prompt": sides[0][:same], "chosen": sides[0][same:], "rejected": sides[1][same:]}
