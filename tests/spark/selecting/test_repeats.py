"""Near-duplicates by text beside brute force, and examples that are also in evaluation data."""

import json
import random
from itertools import combinations
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.features.text_pairs import similar_pairs
from instructmining.settings.loading import load_settings
from instructmining.store.tables import Store
from jobs.scoring.run import run as score
from jobs.selecting.run import run as select

pytestmark = pytest.mark.slow

WORDS = [f"word{number}" for number in range(400)]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def made_texts() -> dict[str, str]:
    """100 texts, and of each a copy with a few other words."""
    rng = random.Random(5)
    texts = {}
    for number in range(100):
        words = rng.choices(WORDS, k=rng.randint(30, 120))
        texts[f"{number:03}a"] = " ".join(words)
        for _ in range(number % 7):
            words[rng.randrange(len(words))] = rng.choice(WORDS)
        texts[f"{number:03}b"] = " ".join(words).upper()
    return texts


def test_pairs_are_those_of_brute_force_and_nearly_all_of_them(spark: SparkSession) -> None:
    texts = made_texts()
    expected = {
        (one, other): similarity
        for one, other in combinations(sorted(texts), 2)
        if (similarity := jaccard(texts[one], texts[other])) >= 0.8
    }
    unlike = {
        "blank": " !",
        "none": None,
        "Han": "今日は良い天気です",
        "Han2": "今日は良い天気だ",
    }
    rows = spark.createDataFrame(
        [*texts.items(), *unlike.items()], "example_id STRING, text STRING"
    )
    found = {(row.first, row.second): row.similarity for row in similar_pairs(rows, 0.8).collect()}
    assert all(abs(found[pair] - expected[pair]) < 1e-9 for pair in found)
    assert len(found) >= 0.99 * len(expected)
    assert len(expected) > 40


def test_select_leaves_out_the_worse_of_a_pair_and_what_is_in_the_evaluation_data(
    spark: SparkSession, tmp_path: Path
) -> None:
    said = "the quick brown fox jumps over the lazy dog near the old river bank today"
    answers = [said, f"{said} again", "one two three four five six seven eight nine", "Grüße 日本"]
    rows = [{"prompt": f"question {n}", "response": text} for n, text in enumerate(answers)]
    rows[1]["prompt"] = rows[0]["prompt"]
    exam = [{"prompt": "count", "response": "now one two three four five six seven eight"}]
    for name, records in (("data", rows), ("exam", exam)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    base = {"store": str(tmp_path / "store"), "tracking": {"uri": "none"}}
    data = {"input": (str(tmp_path / "data.jsonl"),), "stages": ("ingest",)}
    score(spark, load_settings(options={**base, **data}))
    how = {
        "strategy": "random",
        "top": 10,
        "near_duplicates": "text=0.7",
        "without_overlap": (str(tmp_path / "exam.jsonl"),),
    }
    chosen = select(spark, load_settings(options={**base, "select": how}))
    store = Store.open(spark, str(tmp_path / "store"))
    texts = {row.example_id: row.response for row in store.read("examples").collect()}
    left_out = {row.why: row for row in store.read("left_out").collect()}
    assert set(left_out) == {"overlap", "near_duplicate"}
    assert texts[left_out["overlap"].example_id] == answers[2]
    assert left_out["overlap"].beside == "exam"
    assert left_out["overlap"].shared == "one two three four five six seven eight"
    near = left_out["near_duplicate"]
    assert {texts[near.example_id], texts[near.beside]} == set(answers[:2])
    ids = {row.example_id for row in chosen.picked.select("example_id").collect()}
    assert ids == set(texts) - {near.example_id, left_out["overlap"].example_id}
    drawn = F.xxhash64("example_id", F.lit(0).cast("long")).bitwiseAND((1 << 53) - 1)
    order = store.read("examples").select("example_id", drawn.alias("n")).toPandas()
    number = order.set_index("example_id")["n"]
    assert number[near.beside] < number[near.example_id]  # lower is better: the better one stays
    assert "1 examples are left out: their text is nearly that of a better one" in chosen.text
    assert "1 with exam" in chosen.text
    assert "--near-duplicates text=0.7 --without-overlap" in chosen.text
