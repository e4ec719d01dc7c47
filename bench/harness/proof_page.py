"""The proof as Markdown: per pool and evaluation set a line per arm, and the verdicts."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from bench.harness.proof_arms import ARMS, OURS, PAIRS, Measured
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


def against(row: Mapping[Hashable, Any] | None) -> tuple[str, str]:
    """The difference with its interval, and p; blank where there is no comparison."""
    if row is None:
        return "", ""
    size = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
    return size, p_text(row["p_adjusted"])


def _counts(compared: pd.DataFrame, evaluation: str) -> str:
    row = compared[compared["evaluation"] == evaluation].iloc[0]
    return f"n = {row['n']} seeds, {row['prompts']} prompts"
