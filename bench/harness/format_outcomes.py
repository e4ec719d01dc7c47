"""What a command of `bench.formats` said, beside what the tables hold of its inputs."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.harness.format_cases import Case
from bench.harness.stored import columns

_COUNTS = re.compile(
    r"rows read ([\d,]+) = scored ([\d,]+) \+ copies ([\d,]+) \+ quarantined ([\d,]+)"
)


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def counts(self) -> list[int]:
        """Rows read, scored, copies and quarantined as it printed them; zeros where it did not."""
        match = _COUNTS.search(self.out)
        return [int(number.replace(",", "")) for number in match.groups()] if match else [0] * 4


@dataclass(frozen=True)
class Rows:
    """What the tables hold of some inputs."""

    ids: tuple[str, ...]  # of the occurrences
    examples: Counter[str]  # the rows that each of these ids has in the table of examples
    reasons: Counter[str]  # of the quarantine

    @property
    def scored(self) -> int:
        """Distinct examples."""
        return len(set(self.ids))

    @property
    def copies(self) -> int:
        """Occurrences beyond the first of each example."""
        return len(self.ids) - self.scored

    def counts(self) -> list[int]:
        """The counts in the order in which a command prints them."""
        bad = self.reasons.total()
        return [len(self.ids) + bad, self.scored, self.copies, bad]


@dataclass(frozen=True)
class Outcome:
    """What one case came to."""

    name: str
    code: int
    rows: Rows
    said: str  # the last line on the error stream
    problem: str | None  # what is wrong with it, if anything

    def line(self) -> str:
        """A row of the printed table."""
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(self.rows.reasons.items()))
        mark = "ok" if self.problem is None else f"FAILED: {self.problem}"
        rows, scored, copies, _ = self.rows.counts()
        return (
            f"{self.name:<42} {rows:>7,} {scored:>7,} {copies:>6,} "
            f"{self.code:>4}  {mark}  {reasons or self.said[:150]}"
        )


def quarantined(store: Path) -> set[str]:
    """The sources that have rows in the quarantine."""
    return set(columns(store, "quarantine", "source")["source"])


def stored(store: Path, pool: str, known: set[str], places: Sequence[Path]) -> list[Rows]:
    """What the tables hold of each place; of one alone, all that came into the pool.

    Args:
        store: of all cases.
        pool: which the command filled.
        known: sources that were in the quarantine before it, whose table knows no pools.
        places: the folders of the inputs.
    """
    occurrences = columns(store, "occurrences", "pool", "source", "example_id")
    occurrences = occurrences[occurrences["pool"] == pool]
    examples = columns(store, "examples", "example_id")["example_id"]
    examples = examples[examples.isin(occurrences["example_id"])]
    bad = columns(store, "quarantine", "source", "reason")
    bad = bad[~bad["source"].isin(known)]
    outcomes = []
    for place in places:
        below = "" if len(places) == 1 else f"{place}/"
        ids = occurrences["example_id"][occurrences["source"].str.startswith(below)]
        reasons = bad["reason"][bad["source"].str.startswith(below)]
        own = examples[examples.isin(ids)]
        outcomes.append(Rows(tuple(ids), Counter(own), Counter(reasons)))
    return outcomes


def added(rows: Sequence[Rows]) -> Rows:
    """Of several inputs together: an example of two of them is scored once."""
    ids = tuple(identifier for part in rows for identifier in part.ids)
    examples = Counter({key: n for part in rows for key, n in part.examples.items()})
    return Rows(ids, examples, sum((part.reasons for part in rows), Counter()))


def wrong_command(ran: Ran, code: int | None, rows: Rows) -> str | None:
    """What is wrong with what a command said, beside all that the tables hold of its inputs."""
    counts = ran.counts()
    if "Traceback" in ran.out + ran.err or "\tat " in ran.out + ran.err:
        return "a stack trace"
    if code is not None and ran.code != code:
        return f"code {ran.code}, not {code}: {ran.err.strip()[-300:]}"
    if ran.code == 2 and (len(ran.err.strip().splitlines()) != 1 or counts[0]):
        return f"not one sentence: {ran.err.strip()[:300]}"
    if counts[0] != sum(counts[1:]):
        return "the sum does not agree"
    if counts != rows.counts() or rows.examples != Counter(set(rows.ids)):
        return f"the tables do not agree: {rows.counts()}, not {counts}"
    return None


def wrong_case(case: Case, code: int, rows: Rows) -> str | None:
    """What is wrong with what came of one case."""
    if code == 0 and case.examples not in (None, rows.scored):
        return f"{rows.scored} examples, not {case.examples}"
    return None
