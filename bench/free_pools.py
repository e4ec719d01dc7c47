"""Write a share of every free pool as JSON lines: `python -m bench.free_pools --to FOLDER`.

Half 1 only, which no embedded model was trained on; one file per pool, a seeded sample of each.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from training.data import POOLS, data_folder, half_examples


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files and say how many rows each has."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=400, help="of each pool, at most")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    arguments.to.mkdir(parents=True, exist_ok=True)
    examples = half_examples(data_folder(arguments.data), 1)
    for pool in POOLS:
        mine = [each for each in examples if each.pool == pool]
        chosen = random.Random(arguments.seed).sample(  # noqa: S311 - a seed, not a secret
            mine, min(arguments.rows, len(mine))
        )
        lines = [json.dumps({"messages": list(each.messages)}) + "\n" for each in chosen]
        (arguments.to / f"{pool}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{pool}: {len(lines):,} of {len(mine):,} examples")


if __name__ == "__main__":
    main()
