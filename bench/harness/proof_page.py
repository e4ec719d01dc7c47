"""The proof as Markdown: per pool and evaluation set a line per arm, and the verdicts."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from bench.harness.proof_arms import ARMS, OURS, PAIRS, Measured
from bench.harness.response_choice import Rights
from bench.harness.stored import markdown
from instructmining.evaluating.arms import BASE
from instructmining.evaluating.comparison import differences, means, p_text, verdicts
from instructmining.evaluating.gap import Gap, gaps

_HEADER = [
    "arm",
    "clean %",
    "response tokens",
    "loss",
    "gap closed",
    "minus random",
    "p",
    "minus longest",
    "p",
]


def pool_page(name: str, measured: Measured) -> str:
    """One pool: tables, then the verdicts in words."""
    compared = differences(measured.losses, PAIRS, measured.prompts)
    lines = [f"## {name}"]
    for evaluation in measured.losses["evaluation"].unique():
        lines += ["", f"Loss on {evaluation}, {_counts(compared, evaluation)}:", ""]
        lines.append(markdown(_HEADER, list(_rows(measured, compared, evaluation))))
    lines += ["", *(f"- {sentence}" for sentence in verdicts(compared))]
    return "\n".join(lines)


_CHOICE_HEADER = ["arm", "right %", "minus random", "p", "minus longest", "p"]


def choice_page(rights: Rights) -> str:
    """How often each arm's models take the response that belongs to a prompt: more is better."""
    compared = differences(rights.points, PAIRS, rights.prompts)
    lines = []
    for evaluation in rights.points["evaluation"].unique():
        counts = _counts(compared, evaluation)
        lines += ["", f"Responses that belong to prompts of {evaluation}, {counts}:", ""]
        lines.append(markdown(_CHOICE_HEADER, list(_choice_rows(rights, compared, evaluation))))
    return "\n".join(lines)


def _choice_rows(rights: Rights, compared: pd.DataFrame, evaluation: str) -> Iterator[list[str]]:
    average = _means_of(rights.points, evaluation)
    pairs = _pairs_of(compared, evaluation)
    for arm in (*ARMS, BASE):
        yield [
            arm,
            _level(average.loc[arm], arm, 1),
            *against(pairs.get((arm, "random")), 1),
            *against(pairs.get((arm, "longest")), 1),
        ]


def _rows(measured: Measured, compared: pd.DataFrame, evaluation: str) -> Iterator[list[str]]:
    average = _means_of(measured.losses, evaluation)
    closed = {
        one.arm: one.gap
        for one in gaps(measured.losses, OURS, measured.prompts)
        if one.evaluation == evaluation
    }
    pairs = _pairs_of(compared, evaluation)
    for arm in (*ARMS, BASE):
        facts = measured.facts.loc[arm].to_dict()
        yield [
            arm,
            "–" if arm == BASE else f"{100 * facts['clean']:.1f}",
            f"{facts['tokens']:,.0f}",
            _level(average.loc[arm], arm, 4),
            _closed(closed.get(arm)),
            *against(pairs.get((arm, "random")), 4),
            *against(pairs.get((arm, "longest")), 4),
        ]


def _means_of(losses: pd.DataFrame, evaluation: str) -> pd.DataFrame:
    average = means(losses)
    return average[average["evaluation"] == evaluation].set_index("arm")


def _pairs_of(compared: pd.DataFrame, evaluation: str) -> dict[Any, dict[Hashable, Any]]:
    here = compared[compared["evaluation"] == evaluation]
    return {(row["arm"], row["rival"]): row for row in here.to_dict("records")}


def _level(mean: Any, arm: str, digits: int) -> str:
    """An arm's mean and half of its interval; the base is the same at every seed."""
    spread = f" ± {mean['high'] - mean['loss']:.{digits}f}" * (arm != BASE)
    return f"{mean['loss']:.{digits}f}{spread}"


def _closed(gap: Gap | None) -> str:
    if gap is None:
        return ""
    return f"{gap.share:.2f} [{gap.low:.2f}, {gap.high:.2f}]" if gap.certain else "no gap"


def against(row: Mapping[Hashable, Any] | None, digits: int = 4) -> tuple[str, str]:
    """The difference with its interval, and p; blank where there is no comparison."""
    if row is None:
        return "", ""
    size, low, high = (f"{row[name]:+.{digits}f}" for name in ("difference", "low", "high"))
    size = f"{size} [{low}, {high}]"
    return size, p_text(row["p_adjusted"])


def _counts(compared: pd.DataFrame, evaluation: str) -> str:
    row = compared[compared["evaluation"] == evaluation].iloc[0]
    return f"n = {row['n']} seeds, {row['prompts']} prompts"
