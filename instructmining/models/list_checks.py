"""What makes a model list contradict itself: checked as a whole, before any model is looked for.

Indicators are columns of `scores` beside the columns of the tables, and values are stored under the
names of stages, so that each name may stand for one thing only. Spark's names know no case.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from instructmining.features.names import NOT_INDICATORS
from instructmining.models.served import SERVED_KINDS
from instructmining.settings.sections import STAGES
from instructmining.store.schemas import INDICATORS, TABLES

_TABLES = (
    "examples",
    "occurrences",
    "stage_values",
    "embeddings",
    "pool_knn",
    "scores",
    "subsets",
)
# Columns that indicators stand beside, in a table or while examples are chosen.
_COLUMNS = {column for table in _TABLES for column in TABLES[table].names} | {
    *NOT_INDICATORS,
    "cost",
    "score",
    "score_of_row",
}
RESERVED = (_COLUMNS | set(STAGES)) - set(INDICATORS)
_PREFIXES = ("knn_", "contribution_", "reason_")
_ONE_NUMBER = {
    *SERVED_KINDS,
    "gpt_neox_reward",
    "imported",
    "mtld",
    "python",
    "sequence_classifier",
    "yes_no",
}  # kinds that give one


class Entry(Protocol):
    """What is looked at of an entry of a model list."""

    @property
    def kind(self) -> str:
        """How it is measured."""

    @property
    def indicators(self) -> tuple[str, ...]:
        """What it measures."""


def mistakes(stages: Mapping[str, Entry], classifiers: Mapping[str, Entry]) -> list[str]:
    """One sentence for each contradiction in a model list, with its remedy.

    Args:
        stages: the entries of the built-in stages that the list has.
        classifiers: its classifiers, by name.
    """
    entries = {**stages, **{f"classifiers.{name}": spec for name, spec in classifiers.items()}}
    return [
        *_stage_names(classifiers),
        *(mistake for entry, spec in entries.items() for mistake in _of_entry(entry, spec)),
        *_measured_twice(entries),
    ]


def _stage_names(classifiers: Mapping[str, Entry]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name in classifiers:
        if name.lower() in STAGES:
            yield (
                f"entry classifiers.{name} has the name of the built-in stage {name.lower()}: give "
                "the classifier another name"
            )
        elif not re.fullmatch(r"[\w-]+", name):
            yield (
                f"entry classifiers.{name!r} is not a name of letters, digits, _ and -: give the "
                "classifier such a name"
            )
        elif name.lower() in seen:
            yield (
                f"entries classifiers.{seen[name.lower()]} and classifiers.{name} differ in case "
                "only: give one of them another name"
            )
        seen.setdefault(name.lower(), name)


def _of_entry(entry: str, spec: Entry) -> Iterator[str]:
    if (entry == "embed") != (spec.kind == "sentence_encoder"):
        yield (
            f"entry {entry} is of kind {spec.kind}: the entry embed takes a sentence_encoder, and "
            "no other entry does"
        )
    elif entry == "embed":
        for name in spec.indicators:
            if not re.fullmatch(r"knn_[1-9]\d*", name):
                yield (
                    f"entry embed measures distances to neighbours, not {name!r}: name its "
                    "indicator knn_6, or another number of knn.neighbors"
                )
        return
    if spec.kind in _ONE_NUMBER and len(spec.indicators) > 1:
        yield (
            f"entry {entry} names {len(spec.indicators)} indicators, and a model of kind "
            f"{spec.kind} gives one number: name one, and give each other an entry of its own"
        )
    for name in spec.indicators:
        if not name.isidentifier():
            yield (
                f"entry {entry} names an indicator {name!r}: it becomes a column, so write it with "
                "letters, digits and _"
            )
        elif name.lower() in RESERVED or name.lower().startswith(_PREFIXES):
            yield (
                f"entry {entry} names an indicator {name!r}, which is the name of a column or a "
                "stage of the program: give the indicator another name"
            )


def _measured_twice(entries: Mapping[str, Entry]) -> Iterator[str]:
    first: dict[str, str] = {}
    for entry, spec in entries.items():
        for name in spec.indicators:
            rival = first.setdefault(name.lower(), entry)
            if rival != entry:
                yield (
                    f"entries {rival} and {entry} both measure the indicator {name}: leave it out "
                    "of one, or give one of the two another name"
                )
        if len({name.lower() for name in spec.indicators}) < len(spec.indicators):
            yield f"entry {entry} names an indicator twice: name each once"
