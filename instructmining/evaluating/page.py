"""What an evaluation came to, on a page in Markdown: printed, logged and kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from instructmining.evaluating.arms import ARMS, BASE
from instructmining.evaluating.comparison import verdicts
from instructmining.fitting.page import markdown


@dataclass
class EvaluationPage:
    """All that is told.

    Attributes:
        title: pool, rule and base model.
        notes: what was left out, and what may flatter the rule.
        base: loss of the base model by evaluation set.
        wanted: seeds of every arm.
        outcomes: of `jobs.evaluating.arm_runs.outcomes`.
        means: of `comparison.means`.
        differences: of `comparison.differences`.
        failed: reasons, by key of the run.
        answers: what stands below the verdicts: gaps closed, comparisons of answers.
        plan: what was written down before the first run.
        further: tables in Markdown, below the differences.
    """

    title: str
    notes: Sequence[str]
    base: Mapping[str, float]
    wanted: int
    outcomes: pd.DataFrame
    means: pd.DataFrame
    differences: pd.DataFrame
    failed: Mapping[str, str]
    answers: Sequence[str] = field(default_factory=list)
    plan: Sequence[str] = field(default_factory=list)
    further: Sequence[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """The verdicts, after what is missing for them."""
        arms = dict.fromkeys([*ARMS, *self.differences["arm"], *self.differences["rival"]])
        finetuned = [arm for arm in arms if arm != BASE]
        absent = missing(self.outcomes, finetuned, self.wanted, self.failed)
        return [*absent, *verdicts(self.differences)]

    def text(self) -> str:
        """The whole page."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# {self.title}\n"
        yield from (f"- {sentence}" for sentence in self.sentences())
        yield from (f"- {sentence}" for sentence in self.answers)
        yield (
            "\n## Mean loss\n\nNats per reference token, lower is better; 95 % intervals over "
            "seeds by the t distribution."
        )
        for name, table in self._tables():
            yield f"\n{name}{self._base_said(name)}\n"
            yield from markdown(exact(table), "arm")
        yield (
            "\n## Differences\n\nLoss of the arm minus that of its rival at the same seed; "
            "below zero the arm is better. Interval and p count seeds, and prompts where `prompts` "
            "is not 0; `p_adjusted` counts all comparisons.\n"
        )
        shown = self.differences.assign(
            arm=self.differences["arm"] + " − " + self.differences["rival"]
        )
        yield from markdown(exact(shown.drop(columns="rival").set_index("arm")), "arms")
        yield from self.further
        if self.plan:
            yield "\n## Planned before the first run\n"
            yield from self.plan
        yield "\n## Notes\n"
        yield from (f"- {note}" for note in self.notes)

    def _tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        spent = self.outcomes.groupby("arm")[["examples", "steps", "tokens", "train_loss"]].mean()
        for name, group in self.means.groupby("evaluation", sort=False):
            table = group.set_index("arm")[["n", "loss", "low", "high", "sd"]].join(spent)
            yield str(name), table.rename(columns={"tokens": "response tokens"})

    def _base_said(self, name: str) -> str:
        return f" (base model {self.base[name]:.4f})" if name in self.base else ""


def exact(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its floats as text, so that small differences of losses stay visible."""
    whole = dict.fromkeys(("examples", "steps", "response tokens"), "{:,.0f}")
    shown = {
        name: column.map(whole.get(str(name), "{:.4f}").format).replace("nan", "–")
        for name, column in table.items()
        if column.dtype == float
    }
    return table.assign(**{str(name): column for name, column in shown.items()})


def missing(
    outcomes: pd.DataFrame, arms: Sequence[str], wanted: int, failed: Mapping[str, str]
) -> list[str]:
    """A sentence for every arm that has fewer losses than seeds, with a reason."""
    counts = outcomes["arm"].value_counts()
    why = f"; the first reason: {next(iter(failed.values()))}" if failed else ""
    return [
        f"arm {arm}: only {counts.get(arm, 0)} of {wanted} finetunes have a result{why}"
        for arm in arms
        if counts.get(arm, 0) < wanted
    ]
