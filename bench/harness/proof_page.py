"""The proof as Markdown: per pool and evaluation set a line per arm, and the verdicts."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from bench.harness.proof_arms import ARMS, OURS, PAIRS, Measured
from bench.harness.response_choice import Errors
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


def choice_page(errors: Errors) -> str:
    """How often each arm's models take the response that belongs to a prompt: more is better."""
    points = errors.losses.assign(loss=-100 * errors.losses["loss"])  # more is better: right
    prompts = {name: one.scaled(-100) for name, one in errors.prompts.items()}
    compared = differences(points, PAIRS, prompts)
    lines = []
    for evaluation in points["evaluation"].unique():
        counts = _counts(compared, evaluation)
        lines += ["", f"Responses that belong to prompts of {evaluation}, {counts}:", ""]
        lines.append(markdown(_CHOICE_HEADER, list(_choice_rows(points, compared, evaluation))))
    return "\n".join(lines)


def _choice_rows(
    points: pd.DataFrame, compared: pd.DataFrame, evaluation: str
) -> Iterator[list[str]]:
    average = means(points)
    average = average[average["evaluation"] == evaluation].set_index("arm")
    here = compared[compared["evaluation"] == evaluation]
    pairs = {(row["arm"], row["rival"]): row for row in here.to_dict("records")}
    for arm in (*ARMS, BASE):
        found = average.loc[arm]
        spread = f" ± {found['high'] - found['loss']:.1f}" * (arm != BASE)
        against_both = (against(pairs.get((arm, rival)), 1) for rival in ("random", "longest"))
        yield [arm, f"{100 + found['loss']:.1f}{spread}", *sum(against_both, ())]


def _rows(measured: Measured, compared: pd.DataFrame, evaluation: str) -> Iterator[list[str]]:
    average = means(measured.losses)
    average = average[average["evaluation"] == evaluation].set_index("arm")
    closed = {
        one.arm: one.gap
        for one in gaps(measured.losses, OURS, measured.prompts)
        if one.evaluation == evaluation
    }
    here = compared[compared["evaluation"] == evaluation]
    pairs = {(row["arm"], row["rival"]): row for row in here.to_dict("records")}
    for arm in (*ARMS, BASE):
        facts, loss = measured.facts.loc[arm].to_dict(), average.loc[arm].to_dict()
        yield [
            arm,
            "–" if arm == BASE else f"{100 * facts['clean']:.1f}",
            f"{facts['tokens']:,.0f}",
            f"{loss['loss']:.4f}" + (f" ± {loss['high'] - loss['loss']:.4f}" * (arm != BASE)),
            _closed(closed.get(arm)),
            *against(pairs.get((arm, "random"))),
            *against(pairs.get((arm, "longest"))),
        ]


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
