"""Large inputs through reading and `examples`: `python -m bench.speed.large --gigabytes 3`.

Ten thousand small files, one file of JSON lines of the given size, and a JSON array over 1 GiB,
which is refused; prints rows, seconds, MB/s, the largest process and what was said. The command
fails where rows are missing, or where the array is not refused in one sentence with its remedy.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.formats import run_command
from bench.harness.stored import count
from bench.speed.memory import peak_memory
from instructmining.reading.splitting import MAX_WHOLE

WORDS = ("river", "bread", "planet", "tax", "violin", "harbour", "winter", "engine")


def record(number: int, words: int) -> str:
    """One line; no two are equal."""
    text = " ".join(WORDS[(number * 31 + i * i) % len(WORDS)] for i in range(words))
    return json.dumps({"instruction": f"Question {number}?", "output": f"{number}: {text}"}) + "\n"


def small_files(folder: Path, count: int) -> int:
    """`count` files of three records; returns the rows."""
    for number in range(count):
        lines = (record(number * 3 + i, 20) for i in range(3))
        (folder / f"{number:05}.jsonl").write_text("".join(lines))
    return count * 3


def one_file(folder: Path, gigabytes: float) -> int:
    """One file of JSON lines of 4 kB each; returns the rows."""
    rows = written = 0
    with (folder / "large.jsonl").open("w") as file:
        while written < gigabytes * 1e9:
            written += file.write(record(rows, 650))
            rows += 1
    return rows


def large_array(folder: Path) -> int:
    """A JSON array just over what is read in one piece; returns the rows."""
    rows = written = 0
    with (folder / "large.json").open("w") as file:
        while written <= MAX_WHOLE:
            written += file.write(("," if rows else "[") + record(rows, 20_000))
            rows += 1
        file.write("]")
    return rows


def run_case(name: str, write: Callable[[Path], int], folder: Path, refused: bool) -> bool:
    """Write one input, read it, print what it took; whether all went as it must."""
    given = folder / "in"
    store = folder / "store"
    given.mkdir(parents=True)
    rows = write(given)
    size = sum(path.stat().st_size for path in given.iterdir())
    started = time.monotonic()
    with peak_memory() as peak:
        code, _, err = run_command([given], store, ())
    seconds = time.monotonic() - started
    stored = 0 if code else count(store, "examples")
    said = err.strip().splitlines()
    good = (code == 2 and len(said) == 1 and "jq -c" in said[0]) if refused else stored == rows
    print(
        f"{name:<24} {rows:>9,} rows in, {stored:>9,} stored, code {code}, {seconds:7.1f} s, "
        f"{size / seconds / 1e6:6.1f} MB/s, largest process {peak():.2f} GiB, "
        f"{'ok' if good else 'FAILED'}",
        flush=True,
    )
    if code:
        words = said[-1] if said else "nothing was said"
        print(f"  {words.removeprefix('instructmining: ').replace(str(given), '…')}", flush=True)
    shutil.rmtree(folder)
    return good


def main(argv: Sequence[str] | None = None) -> None:
    """Run the inputs one after the other; exits with 1 where one does not go as it must."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--folder", help="where the inputs are written; default: a temporary one")
    arguments = parser.parse_args(argv)
    size = arguments.gigabytes
    files = arguments.files
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        good = [
            run_case(name, write, Path(folder) / str(number), refused)
            for number, (name, write, refused) in enumerate(
                (
                    (f"{files:,} small files", lambda at: small_files(at, files), False),
                    (f"one file of {size:g} GB", lambda at: one_file(at, size), False),
                    ("an array over 1 GiB", large_array, True),
                )
            )
        ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
