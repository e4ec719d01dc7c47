"""Every format and every bad input through `score`: `python -m bench.formats [--data FOLDER]`.

One row per case: rows in, scored, copies, quarantined by reason, exit code. The command fails
where a code is not the expected one, where the printed sum does not agree with the tables, or
where anything looks like a stack trace. All cases share one store. What ends well and needs no
option is read by one command for several cases; with `--alone`, or where one of them is not as it
should be, each has a command and a pool of its own.
"""

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.harness.format_cases import CASES, Case
from bench.harness.format_outcomes import (
    Outcome,
    Ran,
    added,
    quarantined,
    stored,
    wrong_case,
    wrong_command,
)
from instructmining.spark.session import get_session
from jobs.cli import console

MOST = 14  # cases of one command


def together(cases: Sequence[Case]) -> list[list[Case]]:
    """The cases in groups that one command reads each, in their order within each group."""
    quiet = [case for case in cases if case.code == 0 and not case.arguments and not case.alone]
    groups = [quiet[at : at + MOST] for at in range(0, len(quiet), MOST)]
    return [*groups, *([case] for case in cases if case not in quiet)]


def run_cases(cases: Sequence[Case], folder: Path, store: Path) -> list[Outcome]:
    """Write the files, run one command, and compare what it says with its tables.

    Args:
        cases: what to read, and what must come of each; several have no options.
        folder: for the files; its name is the pool's.
        store: of all cases.
    """
    places = [folder / str(number) / "in" for number in range(len(cases))]
    known = quarantined(store)
    inputs = [_written(case, place) for case, place in zip(cases, places, strict=True)]
    ran = run_command(inputs, store, [f"--pool={folder.name}", *cases[0].arguments])
    rows = stored(store, folder.name, known, places)
    wrong = wrong_command(ran, cases[0].code, added(rows))
    outcomes = [
        Outcome(
            case.name, ran.code, one, _said(ran, place), wrong or wrong_case(case, ran.code, one)
        )
        for case, one, place in zip(cases, rows, places, strict=True)
    ]
    if len(cases) == 1 or not any(outcome.problem for outcome in outcomes):
        return outcomes
    # Whose fault it is, each alone says.
    parts = [folder.with_name(f"{folder.name}-{number}") for number in range(len(cases))]
    return [run_cases([case], part, store)[0] for case, part in zip(cases, parts, strict=True)]


def run_command(inputs: Sequence[Path], store: Path, arguments: Sequence[str]) -> Ran:
    """Score the inputs without a model."""
    out = io.StringIO()
    err = io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            console(
                [
                    "score",
                    *(f"--input={path}" for path in inputs),
                    f"--store={store}",
                    "--stages=ingest",
                    "--tracking-uri=none",
                    *arguments,
                ]
            )
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def _written(case: Case, place: Path) -> Path:
    """What `score` is given: the only thing that the case wrote, or the folder of all."""
    place.mkdir(parents=True)
    case.write(place)
    made = list(place.iterdir())
    return made[0] if len(made) == 1 else place


def _said(ran: Ran, place: Path) -> str:
    last = (ran.err.strip().splitlines() or [""])[-1].removeprefix("instructmining: ")
    return last.replace(str(place), "…")


def main(argv: Sequence[str] | None = None) -> None:
    """Run all cases, then the files of a data folder if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="also read every file below this folder")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--alone", action="store_true", help="a command for each case")
    arguments = parser.parse_args(argv)
    spark, ours = get_session()
    cases = [case for case in CASES if arguments.only in case.name]
    if arguments.data:
        files = sorted(p for p in arguments.data.rglob("*") if p.is_file() and p.suffix != ".md")
        cases += [
            Case(f"data: {p.parent.name}/{p.name}", _link(p), code=None, examples=None)
            for p in files
        ]
    groups = [[case] for case in cases] if arguments.alone else together(cases)
    print(f"{'case':<42} {'rows':>7} {'scored':>7} {'copies':>6} {'code':>4}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, group in enumerate(groups):
            for outcome in run_cases(group, Path(folder) / f"p{number}", Path(folder) / "store"):
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
