"""What must hold of a store at every moment, read by delta-rs: no Spark and no JVM.

Tables are read in the order opposite to that in which a run writes them, so that what refers to
another table is never newer than that table, even while a run goes on.
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
from deltalake import DeltaTable

from bench.harness.comparison import KEYS, compare
from bench.harness.stored import table

Snapshot = dict[str, pd.DataFrame]  # by table

_ORDER = (
    "scores",
    "pool_knn",
    "embeddings",
    "stage_values",
    "fingerprints",
    "quarantine",
    "occurrences",
    "examples",
)
_POOL = ("examples", "occurrences", "pool_knn", "scores")  # a row for each example
_NEVER_CHANGED = ("examples", "occurrences", "quarantine", "stage_values", "embeddings")
_ONE_VERSION = {"pool_knn": "pool_version", "scores": "inputs_version"}


def taken(store: Path) -> Snapshot:
    """Every table that is there."""
    names = [name for name in _ORDER if DeltaTable.is_deltatable(str(store / name))]
    return {name: table(store, name) for name in names}


def check(before: Snapshot, after: Snapshot, sizes: Collection[int]) -> None:
    """Nothing doubled, nothing lost, no half of a run.

    Args:
        before: an earlier state of the store.
        after: a later one.
        sizes: how many examples the pool may have; each step adds all rows of some input files.
    """
    for name, rows in after.items():
        assert rows.set_index(KEYS[name]).index.is_unique, f"{name}: a row is there twice"
    for name, rows in before.items():
        _nothing_lost(name, rows, after[name])
    for name in set(_POOL) & set(after):
        assert len(after[name]) in (0, *sizes), f"{name}: half of an input"
    for name in set(_ONE_VERSION) & set(after):
        assert after[name][_ONE_VERSION[name]].nunique() <= 1, f"{name}: halves of two runs"
    _nothing_refers_to_what_is_not_there(after)
    for name in {"stage_values", "embeddings"} & set(after):
        assert (after[name]["status"] == "ok").all()
        assert after[name]["reason"].isin([None, "fewer than 10 words"]).all()


def _nothing_lost(name: str, old: pd.DataFrame, new: pd.DataFrame) -> None:
    key = KEYS[name]
    kept = new[new.set_index(key).index.isin(old.set_index(key).index)]
    assert len(kept) == len(old), f"{name}: rows that were committed are gone"
    if name in _NEVER_CHANGED:
        assert compare(name, old, kept, 0.0).ok, f"{name}: rows that were committed have changed"


def _nothing_refers_to_what_is_not_there(found: Snapshot) -> None:
    for name in ("occurrences", "stage_values", "embeddings", "pool_knn", "scores"):
        if name in found:
            assert set(found[name]["example_id"]) <= set(found["examples"]["example_id"]), name
    for name in ("stage_values", "embeddings"):
        if name in found:
            known = set(found["fingerprints"]["fingerprint"]) if len(found[name]) else set()
            assert set(found[name]["fingerprint"]) <= known, name
