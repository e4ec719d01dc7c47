"""A suite that has this many minutes begins no test after them, and says which it left."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("minutes", "wanted"), [("0", "skipped"), ("60", "passed")])
def test_tests_begin_within_the_minutes_given(minutes: str, wanted: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"--begin-within={minutes}",
        "tests/unit/test_identity.py",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    last = done.stdout.strip().splitlines()[-1]
    assert wanted in last
    assert ({"skipped", "passed"} - {wanted}).pop() not in last
    assert ("its turn did not come within 0 minutes" in done.stdout) == (wanted == "skipped")
