"""The page that travels with a subset, and the few lines a terminal shows of it."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from instructmining import __version__
from instructmining.rules.rule import LinearRule
from instructmining.selecting.facts import Changes, Facts
from instructmining.selecting.selection import STRATEGIES
from instructmining.settings.sections import Settings

_SHOWN_SOURCES = 20  # on the terminal; the card shows them all


@dataclass(frozen=True)
class Card:
    """All that is told of a selection.

    Attributes:
        settings: of the command.
        rule: whose predictions were read; None where the strategy needs none.
        source: of the rule, as `--rule` takes it.
        facts: of the subset.
        notes: sentences.
        changes: against another rule, where one is named.
        run_id: of the selection.
        layout: of the exported records, in words; None: nothing was exported.
    """

    settings: Settings
    rule: LinearRule | None
    source: str | None
    facts: Facts
    notes: Sequence[str]
    changes: Changes | None
    run_id: str
    layout: str | None = None

    def markdown(self) -> str:
        """The dataset card."""
        facts = self.facts
        select = self.settings.select
        rows = {
            "subset": f"`{facts.subset}`",
            "examples": f"{facts.size:,} of {facts.pool:,} in pool `{self.settings.pool}`",
            "tokens": f"{facts.tokens:,} of prompts and responses",
            "strategy": f"`{select.strategy}`: {STRATEGIES[select.strategy].about}",
            "rule": self._rule()
            + (f", fingerprint `{self.rule.fingerprint}`" if self.rule else ""),
            "diversity": f"`{select.diversity}`",
            "seed": str(select.seed),
            **({} if self.layout is None else {"layout": self.layout}),
            "not chosen for want of a score": f"{facts.unscored:,}",
            "made by": f"instructmining {__version__}, run `{self.run_id}`",
        }
        parts = [
            f"# {facts.size:,} examples of pool {self.settings.pool}",
            _table(["", ""], [[key, value] for key, value in rows.items()]),
            *([] if not self.notes else ["\n".join(f"- {note}" for note in self.notes)]),
            "## Sources",
            _sources(facts.sources),
            "## Indicators",
            "Means of the examples that have a value.",
            _means(facts.means),
            "## Truncation",
            _truncation(facts),
            *([] if self.changes is None else self._changes()),
            "## Once more",
            f"```\n{self.command()}\n```",
        ]
        return "\n\n".join(parts) + "\n"

    def command(self) -> str:
        """The command that chooses the same examples from the same tables."""
        settings = self.settings
        select = self.settings.select
        words = ["instructmining", "select", "--store", settings.store, "--pool", settings.pool]
        if settings.models != "embedded":
            words += ["--models", settings.models]
        if self.source is not None:
            words += ["--rule", self.source]
        for name, value in select.model_dump(exclude_defaults=True).items():
            if name == "current":
                words.append("--all")
                continue
            option = "--" + name.replace("_", "-")
            if name in ("rejected", "whiten", "out_of_range"):
                words.append(option)
                continue
            single = value if isinstance(value, tuple) else (value,)
            entries = value.items() if name == "quota" else [(None, item) for item in single]
            for pattern, entry in entries:
                words += [
                    option,
                    f"{entry}" if pattern is None else f"{pattern}={entry!r}".removesuffix(".0"),
                ]
        thresholds = settings.floor.model_dump(mode="json", exclude_defaults=True)
        for name, value in thresholds.items():
            words += ["--set", f"floor.{name}={json.dumps(value)}"]
        return shlex.join(words)

    def lines(self) -> list[str]:
        """The lines of the card that a terminal shows."""
        facts = self.facts
        left = facts.pool - facts.size - facts.unscored
        lines = [
            f"pool {facts.pool:,} = selected {facts.size:,} + not selected {left:,} "
            f"+ without a score {facts.unscored:,}",
            *(f"  {count:,} {reason[:100]}" for reason, count in facts.reasons),
            f"strategy {self.settings.select.strategy}: "
            f"{STRATEGIES[self.settings.select.strategy].about}; rule {self._rule()}",
            *(f"note: {note}" for note in self.notes),
            f"tokens {facts.tokens:,} of prompts and responses",
            *_columns(facts.sources, ["pool", "selected"]),
        ]
        if self.changes is not None:
            lines += [
                self._compared(),
                *_columns(self.changes.sources, ["kept", "entered", "left"]),
            ]
        return lines

    def _rule(self) -> str:
        if self.rule is None:
            return "none"
        return f"{self.rule.name} version {self.rule.version}"

    def _compared(self) -> str:
        assert self.changes is not None  # noqa: S101 - only called with changes
        total = self.changes.sources.sum()
        return (
            f"against {self.settings.select.against}: {total['kept']:,} kept, "
            f"{total['entered']:,} entered, {total['left']:,} left; rank correlation of the two "
            f"predictions {self.changes.correlation:.3f} (n={self.changes.compared:,})"
        )

    def _changes(self) -> list[str]:
        assert self.changes is not None  # noqa: S101 - only called with changes
        rows = [
            [source, *map(_number, row)]
            for source, row in zip(
                self.changes.sources.index, self.changes.sources.to_numpy(), strict=True
            )
        ]
        return [
            "## Against another rule",
            self._compared() + ".",
            _table(["source", "kept", "entered", "left"], rows),
        ]


def _sources(sources: pd.DataFrame) -> str:
    shares = sources / sources.sum().clip(lower=1)
    rows = [
        [
            source,
            _number(counts["pool"]),
            f"{share['pool']:.1%}",
            _number(counts["selected"]),
            f"{share['selected']:.1%}",
        ]
        for (source, counts), (_, share) in zip(sources.iterrows(), shares.iterrows(), strict=True)
    ]
    return _table(["source", "pool", "share", "selected", "share"], rows)


def _means(means: pd.DataFrame) -> str:
    rows = [
        [name, f"{row['selected']:.4g}", f"{row['pool']:.4g}"] for name, row in means.iterrows()
    ]
    return _table(["indicator", "selected", "pool"], rows)


def _truncation(facts: Facts) -> str:
    if not facts.truncated:
        return "Every model read all of every chosen example."
    rows = [
        [stage, _number(count), f"{count / max(1, facts.size):.1%}"]
        for stage, count in facts.truncated.items()
    ]
    return (
        "Chosen examples that were longer than a model reads; nothing is cut from the export."
        "\n\n" + _table(["stage", "examples", "share"], rows)
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _columns(counts: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Sources with their counts below each other, the largest first."""
    shown = counts.sort_values(list(names)[-1], ascending=False, kind="stable")
    width = max([6, *(len(str(source)) for source in shown.index[:_SHOWN_SOURCES])])
    lines = [f"  {'source':<{width}}" + "".join(f"{name:>12}" for name in names)]
    for source, row in shown.head(_SHOWN_SOURCES).iterrows():
        lines.append(f"  {source!s:<{width}}" + "".join(f"{row[name]:>12,}" for name in names))
    if len(shown) > _SHOWN_SOURCES:
        lines.append(f"  … and {len(shown) - _SHOWN_SOURCES:,} more sources")
    return lines


def _number(value: object) -> str:
    return f"{value:,}"
