"""Inputs as people bring them, and what each must give: `python -m bench.cases FOLDER`.

The folder holds the files that `bench.harness.case_list` names. One line per case with what is
expected and what was seen; the exit code is 1 where one is wrong. A case has a store of its own,
all share one session.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.harness.case_list import CASES, Case
from bench.harness.trial import Trial
from instructmining.spark.session import get_session


def try_case(case: Case, given: Path, folder: Path) -> tuple[bool, str]:
    """Whether what comes of the case is right, and what was seen.

    Args:
        case: what to try.
        given: the folder of inputs.
        folder: an empty one, for the store.
    """
    folder.mkdir(parents=True)
    trial = Trial(given / case.name, folder)
    if not trial.given.exists():
        return False, "there is no such input"
    trial.score(*case.arguments)
    seen = trial.seen()
    problem = trial.problem()
    if problem:
        return False, f"{problem}; {seen}"
    try:
        right = case.is_right(trial)
    except Exception as error:  # of a check that met what it does not expect
        return False, f"{seen}; the check: {type(error).__name__}: {error}"
    return right, seen


def main(argv: Sequence[str] | None = None) -> None:
    """Try all cases, print a line for each and the count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the inputs are")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    arguments = parser.parse_args(argv)
    spark, ours = get_session()
    cases = [case for case in CASES if arguments.only in case.name]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            right, seen = try_case(case, arguments.folder, Path(folder) / str(number))
            wrong += not right
            mark = "ok   " if right else "WRONG"
            print(f"{mark} {case.name:<32} expected: {case.expected} | seen: {seen}", flush=True)
    print(f"{len(cases)} cases, {len(cases) - wrong} right, {wrong} wrong")
    if ours:
        spark.stop()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
