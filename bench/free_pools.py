"""Write a share of every free pool as JSON lines: `python -m bench.free_pools --to FOLDER`.

Half 1 only, which no embedded model was trained on; one file per pool, a seeded sample of each.
With `--held-out` a second file per pool, POOL_held_out.jsonl, has rows that are not in the first.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from training.data import POOLS, Example, data_folder, half_examples


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files and say how many rows each has."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=400, help="of each pool, at most")
    parser.add_argument("--pools", nargs="+", default=list(POOLS), choices=POOLS)
    parser.add_argument("--held-out", type=int, default=0, help="further rows, to measure on")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    arguments.to.mkdir(parents=True, exist_ok=True)
    examples = half_examples(data_folder(arguments.data), 1)
    for pool in arguments.pools:
        mine = [example for example in examples if example.pool == pool]
        chosen = _sample(mine, arguments.rows, arguments.seed)
        _write(chosen, arguments.to / f"{pool}.jsonl")
        print(f"{pool}: {len(chosen):,} of {len(mine):,} examples")
        if arguments.held_out:
            taken = {example.identifier for example in chosen}
            others = [example for example in mine if example.identifier not in taken]
            held_out = _sample(others, arguments.held_out, arguments.seed)
            _write(held_out, arguments.to / f"{pool}_held_out.jsonl")


def _sample(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    generator = random.Random(seed)  # noqa: S311 - a seed, not a secret
    return generator.sample(examples, min(count, len(examples)))


def _write(examples: Sequence[Example], file: Path) -> None:
    lines = [json.dumps({"messages": list(example.messages)}) + "\n" for example in examples]
    file.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
