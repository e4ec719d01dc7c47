"""Near-duplicates by text beside a loop over all pairs: `python -m bench.speed.text_pairs`.

Texts of Dolly, each with a copy in which some words are replaced, so that there are pairs of every
similarity. Recall is the share of the pairs of the loop that were found; the command fails below
0.99, or where a pair comes out that the loop does not have. With `--only ROWS` there is no loop:
only the seconds of that many made-up rows.
"""

import argparse
import json
import random
import sys
import time
from itertools import combinations
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from instructmining.features.text_pairs import RUN, bands_for, similar_pairs
from instructmining.spark.session import get_session

THRESHOLDS = (0.6, 0.8, 0.9)
RECALL = 0.99
_SCHEMA = "example_id STRING, text STRING"


def main() -> None:
    """Make the rows, find the pairs, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="JSON lines of Dolly; without it words are drawn")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--only", type=int, help="rows of a run without a loop over all pairs")
    chosen = parser.parse_args()
    spark, _ = get_session()
    if chosen.only:
        seconds, pairs = timed(many(spark, chosen.only), 0.8)
        print(f"{chosen.only:,} made-up rows, text=0.8: {pairs:,} pairs in {seconds:.0f} s")
        return
    texts = with_copies(texts_of(chosen.data, chosen.rows // 2))
    rows = spark.createDataFrame([*texts.items()], _SCHEMA)
    sys.exit(0 if compared(rows, texts) else 1)


def texts_of(path: Path | None, count: int) -> list[str]:
    """Texts of the data, in lower-case words; or made-up ones."""
    rng = random.Random(1)  # noqa: S311 - made-up texts
    if path is None:
        words = [f"word{number}" for number in range(3_000)]
        return [" ".join(rng.choices(words, k=rng.randint(8, 150))) for _ in range(count)]
    with path.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line, _ in zip(lines, range(count), strict=False)]
    texts = (f"{record['instruction']} {record['response']}" for record in records)
    return [" ".join("".join(c if c.isalnum() else " " for c in t.lower()).split()) for t in texts]


def with_copies(texts: list[str]) -> dict[str, str]:
    """The texts and a copy of each with up to a tenth of its words replaced."""
    rng = random.Random(2)  # noqa: S311 - made-up texts
    found = {}
    for number, text in enumerate(texts):
        words = text.split()
        found[f"{number:06}a"] = text
        for _ in range(rng.randint(0, max(1, len(words) // 10))):
            words[rng.randrange(len(words))] = f"other{rng.randrange(1_000)}"
        found[f"{number:06}b"] = " ".join(words)
    return found


def many(spark: SparkSession, rows: int) -> DataFrame:
    """Rows of 60 words out of 20,000, made by Spark; every tenth is nearly the one before it."""
    number = F.col("id") - F.when(F.col("id") % 10 == 9, 1).otherwise(0)
    word = F.transform(
        F.sequence(F.lit(1), F.lit(60)),
        lambda place: F.concat(F.lit("w"), F.pmod(F.xxhash64(number, place), F.lit(20_000))),
    )
    text = F.concat_ws(" ", F.array_join(word, " "), (F.col("id") % 10).cast("string"))
    made = spark.range(rows).select(F.format_string("%09d", "id").alias("example_id"), text)
    return made.toDF("example_id", "text")


def timed(rows: DataFrame, threshold: float) -> tuple[float, int]:
    """Seconds, and the number of pairs."""
    started = time.monotonic()
    pairs = similar_pairs(rows, threshold).count()
    return time.monotonic() - started, pairs


def compared(rows: DataFrame, texts: dict[str, str]) -> bool:
    """Print recall and seconds for each threshold; whether every gate is kept."""
    started = time.monotonic()
    every = by_loop(texts, min(THRESHOLDS))
    seconds_of_loop = time.monotonic() - started
    table = Table("threshold", "bands", "pairs of the loop", "recall", "wrong", "wall s")
    good = True
    for threshold in THRESHOLDS:
        started = time.monotonic()
        found = {(row["first"], row["second"]) for row in similar_pairs(rows, threshold).collect()}
        seconds = time.monotonic() - started
        expected = {pair for pair, similarity in every.items() if similarity >= threshold}
        recall = len(found & expected) / len(expected)
        wrong = len(found - expected)
        good &= recall >= RECALL and not wrong
        numbers = (f"{threshold}", f"{bands_for(threshold)}", f"{len(expected):,}")
        table.add_row(*numbers, f"{recall:.4f}", f"{wrong}", f"{seconds:.1f}")
    console = Console(width=100)
    console.print(f"{len(texts):,} rows; the loop over all pairs took {seconds_of_loop:.1f} s")
    console.print(table)
    return good


def by_loop(texts: dict[str, str], threshold: float) -> dict[tuple[str, str], float]:
    """All pairs that are at least that alike. Sets of unlike sizes cannot be, and are passed by."""
    sets = {name: runs(text) for name, text in texts.items()}
    found = {}
    for (one, a), (other, b) in combinations(sorted(sets.items()), 2):
        if min(len(a), len(b)) < threshold * max(len(a), len(b)):
            continue
        shared = len(a & b)
        similarity = shared / (len(a) + len(b) - shared)
        if similarity >= threshold:
            found[one, other] = similarity
    return found


def runs(text: str) -> set[tuple[str, ...]]:
    """The runs of words of a text, by Python alone."""
    words = text.split()
    return {tuple(words[start : start + RUN]) for start in range(max(1, len(words) - RUN + 1))}


if __name__ == "__main__":
    main()
