"""Two stores, table by table: the same rows with the same values, whatever run wrote them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.harness.stored import table

# What identifies a row. `run_id` says who wrote it, `written_at` when and `provenance` with which
# libraries: none is compared.
KEYS = {
    "examples": ["example_id"],
    "occurrences": ["pool", "source", "position"],
    "quarantine": ["source", "position", "content_hash"],
    "stage_values": ["fingerprint", "example_id"],
    "embeddings": ["fingerprint", "example_id"],
    "fingerprints": ["fingerprint"],
    "pool_knn": ["pool", "example_id"],
    "scores": ["pool", "rule_name", "rule_version", "example_id"],
}
_NOT_COMPARED = ["run_id", "written_at", "provenance"]
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Difference:
    """One table in two stores."""

    table: str
    rows: int
    unmatched: int  # rows that only one store has, or that one has twice
    unequal: int  # cells that differ: text at all, numbers by more than the tolerance
    largest: float  # difference of two numbers

    @property
    def ok(self) -> bool:
        """The same table."""
        return self.unmatched == self.unequal == 0

    def cells(self) -> list[Any]:
        """A row of a printed table."""
        return [
            self.table,
            self.rows,
            self.unmatched,
            self.unequal,
            f"{self.largest:.1e}",
            "ok" if self.ok else "DIFFERS",
        ]


def compare_stores(one: Path, other: Path, tolerance: float = TOLERANCE) -> list[Difference]:
    """Every table that one of the stores has."""
    names = [name for name in KEYS if (one / name).is_dir() or (other / name).is_dir()]
    return [compare(name, table(one, name), table(other, name), tolerance) for name in names]


def compare(name: str, one: pd.DataFrame, other: pd.DataFrame, tolerance: float) -> Difference:
    """The rows matched by their key, then cell by cell."""
    one, other = (
        rows.drop(columns=_NOT_COMPARED, errors="ignore").set_index(KEYS[name])
        for rows in (one, other)
    )
    shared = one.index.intersection(other.index)
    count = len(one)
    unmatched = len(one) + len(other) - 2 * len(shared)
    one, other = (rows[~rows.index.duplicated()] for rows in (one, other))
    unequal = 0 if set(one.columns) == set(other.columns) else len(shared)
    largest = 0.0
    for column in one.columns.intersection(other.columns):
        for left, right in zip(one.loc[shared, column], other.loc[shared, column], strict=True):
            gap = _gap(left, right)
            unequal += gap > tolerance
            largest = max(largest, gap)
    return Difference(name, count, unmatched, unequal, largest)


def _gap(left: Any, right: Any) -> float:
    """Largest difference of two cells' numbers; infinite where anything else differs.

    Relative where a number is above 1, absolute below.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return float("inf")
        return _widest(_gap(left[key], right[key]) for key in left)
    if hasattr(left, "__len__") and not isinstance(left, str) and hasattr(right, "__len__"):
        if len(left) != len(right):
            return float("inf")
        return _widest(_gap(a, b) for a, b in zip(left, right, strict=True))
    if left is None or right is None or isinstance(left, str):
        return 0.0 if left == right else float("inf")
    if left != left or right != right:  # NaN, which pandas puts for a null number
        return 0.0 if left != left and right != right else float("inf")
    return abs(float(left) - float(right)) / max(1.0, abs(float(right)))


def _widest(gaps: Iterable[float]) -> float:
    return max(gaps, default=0.0)
