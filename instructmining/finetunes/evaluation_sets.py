"""Evaluation sets: reference answers on which every finetuned model's loss is measured."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.finetunes.runs import ids_hash
from instructmining.layouts.standard_form import with_standard_form
from instructmining.reading.inputs import find_inputs, read_records
from instructmining.settings.sections import Read

_MOST = 100_000  # conversations; a set is brought to the driver and sent to every task


@dataclass(frozen=True)
class EvaluationSet:
    """Distinct conversations with reference answers.

    Attributes:
        name: as it is stored with every loss.
        conversations: in the order of their ids.
        ids: their example ids.
        unusable: records that have no conversation in them.
    """

    name: str
    conversations: tuple[list[dict[str, str]], ...]
    ids: tuple[str, ...]
    unusable: int

    @property
    def version(self) -> str:
        """Hash of what is in it."""
        return ids_hash(self.ids)

    def sample(self, most: int | None) -> "EvaluationSet":
        """The set itself, or the conversations of its smallest ids, which are hashes of the text.

        Args:
            most: conversations; None for all of them.
        """
        return replace(self, conversations=self.conversations[:most], ids=self.ids[:most])


def read_evaluation_sets(spark: SparkSession, sources: Sequence[str]) -> list[EvaluationSet]:
    """Read `NAME=DATA` or `DATA`, each in any format that `score` reads.

    DATA may be several paths with commas between them, as for questions and answers in two files.

    Raises:
        UserError: none is given, a name comes twice, or a set holds no usable conversation.
    """
    if not sources:
        raise UserError("--eval is missing: name data with reference answers, as NAME=PATH")
    sets = [_read(spark, source) for source in sources]
    names = [evaluation.name for evaluation in sets]
    if len(set(names)) < len(names):
        raise UserError(f"two evaluation sets have one name ({', '.join(names)}): write NAME=PATH")
    return sets


def _read(spark: SparkSession, source: str) -> EvaluationSet:
    name, equals, data = source.partition("=")
    if not equals or "/" in name:
        name = ""
        data = source
    paths = tuple(part for part in data.split(",") if part)
    name = name or re.sub(r"\W+", "_", PurePosixPath(paths[0]).name.partition(".")[0])
    inputs, _ = find_inputs(spark, paths)
    rows = (
        with_standard_form(read_records(spark, inputs), Read())
        .select("example_id", "messages", "reason")
        .limit(_MOST + 1)
        .collect()
    )
    if len(rows) > _MOST:
        raise UserError(f"evaluation set {name} has over {_MOST:,} records: take a sample of it")
    usable = {row.example_id: row.messages for row in rows if row.reason is None}
    if not usable:
        raise UserError(
            f"evaluation set {name} ({data}) holds no record with a prompt and a reference answer"
        )
    ids = tuple(sorted(usable))
    conversations = tuple([{"role": m.role, "content": m.content} for m in usable[i]] for i in ids)
    return EvaluationSet(name, conversations, ids, sum(r.reason is not None for r in rows))
