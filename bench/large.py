"""Large inputs through reading and `examples`: `python -m bench.large --gigabytes 3`.

Ten thousand small files, then one file of JSON lines of the given size; prints rows, seconds,
MB/s and the largest process.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.formats import run_command
from bench.memory import peak_memory
from bench.stored import table

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


def main(argv: Sequence[str] | None = None) -> None:
    """Write both inputs, read them, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--folder", help="where the inputs are written; default: a temporary one")
    arguments = parser.parse_args(argv)
    inputs = {
        f"{arguments.files:,} small files": lambda at: small_files(at, arguments.files),
        f"one file of {arguments.gigabytes:g} GB": lambda at: one_file(at, arguments.gigabytes),
    }
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for number, (name, write) in enumerate(inputs.items()):
            given, store = Path(folder) / f"in{number}", Path(folder) / f"store{number}"
            given.mkdir()
            rows = write(given)
            size = sum(path.stat().st_size for path in given.iterdir())
            started = time.monotonic()
            with peak_memory() as peak:
                code, _, err = run_command(given, store, ())
            seconds = time.monotonic() - started
            stored = len(table(store, "examples")[["example_id"]]) if not code else 0
            print(f"{name:<24} {rows:>9,} rows in, {stored:>9,} stored, code {code}, "
                  f"{seconds:7.1f} s, {size / seconds / 1e6:6.1f} MB/s, largest process "
                  f"{peak():.2f} GiB {err.strip()[-200:]}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
