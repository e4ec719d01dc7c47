"""Drift of an indicator: how far the middle of what was measured last lies from the rest's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

FEWEST = 50  # examples on each side; fewer say little about a middle


@dataclass(frozen=True)
class Drift:
    """One indicator of one model, what was measured last beside what was measured before.

    Attributes:
        indicator: its name.
        fingerprint: of the model.
        new_examples: measured last.
        old_examples: measured before.
        new_median: of the former.
        old_median: of the latter.
        moved: distance of the medians over the range that 90 of 100 old values lie in.
    """

    indicator: str
    fingerprint: str
    new_examples: int
    old_examples: int
    new_median: float
    old_median: float
    moved: float


def newest_runs(measured: Sequence[tuple[str, str, datetime | None]]) -> dict[str, str]:
    """By fingerprint, the run that measured last.

    Args:
        measured: fingerprint, run, and when the run wrote last; None is older than all times. A
            fingerprint of one run is left out, since there is nothing before it, and so is one
            whose runs have no times.
    """
    runs: dict[str, set[str]] = {}
    times: dict[str, list[tuple[datetime, str]]] = {}
    for fingerprint, run, time in measured:
        runs.setdefault(fingerprint, set()).add(run)
        if time is not None:
            times.setdefault(fingerprint, []).append((time, run))
    return {
        fingerprint: max(known)[1]
        for fingerprint, known in times.items()
        if len(runs[fingerprint]) > 1
    }


def drifts(rows: Sequence[Mapping[str, Any]]) -> list[Drift]:
    """The drift of each indicator, the largest first.

    Args:
        rows: per `fingerprint`, `indicator` and `is_new` the `examples` and their percentiles
            `low`, `median`, `high`. Where a side has fewer than `FEWEST` examples nothing is said.
    """
    sides: dict[tuple[str, str], dict[bool, Mapping[str, Any]]] = {}
    for row in rows:
        if row["examples"] >= FEWEST:
            sides.setdefault((row["indicator"], row["fingerprint"]), {})[row["is_new"]] = row
    all_drifts = [
        _drift(*key, both[True], both[False]) for key, both in sides.items() if len(both) == 2
    ]
    return sorted(all_drifts, key=lambda drift: (-drift.moved, drift.indicator))


def _drift(
    indicator: str, fingerprint: str, new: Mapping[str, Any], old: Mapping[str, Any]
) -> Drift:
    distance = abs(new["median"] - old["median"])
    spread = old["high"] - old["low"]
    moved = distance / spread if spread else (math.inf if distance else 0.0)
    return Drift(
        indicator,
        fingerprint,
        new["examples"],
        old["examples"],
        new["median"],
        old["median"],
        moved,
    )


def sentence(drifted: Sequence[Drift], limit: float) -> str:
    """What moved by more than the limit; empty where nothing did."""
    parts = [
        f"{one.indicator} moved by {one.moved:.2f} (median {one.old_median:.4g} of "
        f"{one.old_examples:,} examples, {one.new_median:.4g} of the {one.new_examples:,} "
        "measured last)"
        for one in drifted
        if one.moved > limit
    ]
    if not parts:
        return ""
    return (
        f"{'; '.join(parts)}: more than --fail-on-drift {limit:g} of the range in which 90 of 100 "
        "values lay before; everything is stored, and the table drift has the numbers"
    )
