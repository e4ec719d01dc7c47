"""Every format and every bad input through `score`: `python -m bench.formats [--data FOLDER]`.

One row per case: rows in, scored, copies, quarantined by reason, exit code. The command fails
where a code is not the expected one, where the printed sum does not agree with the tables, or
where anything looks like a stack trace.
"""

import argparse
import contextlib
import io
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.harness.format_cases import CASES, Case
from bench.harness.stored import table
from instructmining.spark.session import get_session
from jobs.cli import console

_COUNTS = re.compile(
    r"rows read ([\d,]+) = scored ([\d,]+) \+ copies ([\d,]+) \+ quarantined ([\d,]+)"
)


@dataclass(frozen=True)
class Outcome:
    """What one case came to."""

    name: str
    code: int
    rows: int
    scored: int
    copies: int
    reasons: dict[str, int]
    said: str  # the last line on the error stream
    problem: str | None  # what is wrong with it, if anything

    def line(self) -> str:
        """A row of the printed table."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        mark = "ok" if self.problem is None else f"FAILED: {self.problem}"
        return (
            f"{self.name:<42} {self.rows:>7,} {self.scored:>7,} {self.copies:>6,} "
            f"{self.code:>4}  {mark}  {reasons or self.said[:150]}"
        )


def run_case(case: Case, folder: Path) -> Outcome:
    """Write the case's files, run the command, and compare what it says with its tables."""
    given = folder / "in"
    store = folder / "store"
    given.mkdir(parents=True)
    case.write(given)
    (source,) = list(given.iterdir()) if len(list(given.iterdir())) == 1 else (given,)
    return outcome(case, run_command(source, store, case.arguments), store)


def run_command(source: Path, store: Path, arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit code and what was printed to both streams."""
    out = io.StringIO()
    err = io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            console(
                [
                    "score",
                    f"--input={source}",
                    f"--store={store}",
                    "--stages=ingest",
                    "--tracking-uri=none",
                    *arguments,
                ]
            )
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


def outcome(case: Case, ran: tuple[int, str, str], store: Path) -> Outcome:
    """Compare what was printed with the tables and with what the case expects."""
    code, out, err = ran
    counts = _COUNTS.search(out)
    rows, scored, copies, bad = (
        (int(found.replace(",", "")) for found in counts.groups()) if counts else (0, 0, 0, 0)
    )
    reasons = dict(Counter(table(store, "quarantine")["reason"])) if bad else {}
    problem = None
    if "Traceback" in out + err or "\tat " in out + err:
        problem = "a stack trace"
    elif case.code is not None and code != case.code:
        problem = f"code {code}, not {case.code}: {err.strip()[-300:]}"
    elif code == 2 and (len(err.strip().splitlines()) != 1 or rows):
        problem = f"not one sentence: {err.strip()[:300]}"
    elif rows != scored + copies + bad or sum(reasons.values()) != bad:
        problem = "the sum does not agree"
    elif counts and (
        scored != len(table(store, "examples"))
        or scored + copies != len(table(store, "occurrences"))
    ):
        problem = "the tables do not agree"
    elif code == 0 and case.examples not in (None, scored):
        problem = f"{scored} examples, not {case.examples}"
    said = (err.strip().splitlines() or [""])[-1].removeprefix("instructmining: ")
    said = said.replace(f"{store.parent}/in", "…")
    return Outcome(case.name, code, rows, scored, copies, reasons, said, problem)


def main(argv: Sequence[str] | None = None) -> None:
    """Run all cases, then the files of a data folder if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="also read every file below this folder")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    arguments = parser.parse_args(argv)
    spark, ours = get_session()
    cases = [case for case in CASES if arguments.only in case.name]
    if arguments.data:
        found = sorted(p for p in arguments.data.rglob("*") if p.is_file() and p.suffix != ".md")
        cases += [
            Case(f"data: {p.parent.name}/{p.name}", _link(p), code=None, examples=None)
            for p in found
        ]
    print(f"{'case':<42} {'rows':>7} {'scored':>7} {'copies':>6} {'code':>4}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            outcome = run_case(case, Path(folder) / str(number))
            failed += outcome.problem is not None
            print(outcome.line(), flush=True)
    print(f"{len(cases)} cases, {failed} failed")
    if ours:
        spark.stop()
    sys.exit(1 if failed else 0)


def _link(path: Path) -> Callable[[Path], None]:
    return lambda folder: (folder / path.name).symlink_to(path.resolve())


if __name__ == "__main__":
    main()
