"""Verdicts that are stored once and found again: what was judged is never asked again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pyspark.sql import functions as F

from instructmining.judging.pairs import Verdict
from instructmining.spark.frames import small_frame
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.judging.shown_pairs import Shown


class Ruling(NamedTuple):
    """A verdict on a pair.

    Attributes:
        shown: the pair, in the order in which it was judged.
        verdict: which place is better.
        margin: difference of the rewards; None where a server judged, or one could not be measured.
        tokens: what the server counted; None of a reward model.
    """

    shown: Shown
    verdict: Verdict
    margin: float | None = None
    tokens: int | None = None


class Verdicts(Protocol):
    """Where verdicts are kept."""

    def known(self, keys: Sequence[str]) -> dict[str, Verdict]:
        """The verdicts stored under these keys."""
        ...

    def add(self, judge: str, verdicts: Iterable[Ruling]) -> None:
        """Store the verdicts of a judge; those that are there already are left out.

        Args:
            judge: model, server and version of the question.
            verdicts: what it said.
            part: tells the commits of one run apart.
        """
        ...


@dataclass(frozen=True)
class VerdictTable:
    """The table `verdicts` of a store, written by one run."""

    store: Store
    run_id: str

    def known(self, keys: Sequence[str]) -> dict[str, Verdict]:
        """The verdicts stored under these keys."""
        rows = self.store.read("verdicts").where(F.col("verdict_key").isin(list(keys)))
        return {row.verdict_key: row.verdict for row in rows.collect()}

    def add(self, judge: str, verdicts: Iterable[Ruling]) -> None:
        """Store the verdicts of a judge; those that are there already are left out."""
        rows = {verdict.shown.key(judge): self._row(judge, verdict) for verdict in verdicts}
        for key in self.known(list(rows)) if rows else ():
            del rows[key]
        if rows:
            frame = small_frame(self.store.spark, rows.values(), TABLES["verdicts"].ddl)
            self.store.append(frame, "verdicts", {"run_id": self.run_id})

    def _row(self, judge: str, verdict: Ruling) -> tuple[object, ...]:
        shown, said, margin, tokens = verdict
        is_number = margin is not None and margin == margin
        return (
            shown.key(judge),
            judge,
            shown.evaluation,
            shown.example_id,
            *shown.runs,
            said,
            margin if is_number else None,
            tokens,
            self.run_id,
        )
