"""The select job on the sample data: exports are compared with the source files themselves."""

import csv
import gzip
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.layouts.standard_form import standard_rows
from instructmining.rules.rule import read_rule
from instructmining.selecting.diversity import Room, apart, facility_location
from instructmining.selecting.export_files import one_line
from instructmining.selecting.export_target import target_of
from instructmining.selecting.selection import candidates
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Export, Settings
from instructmining.store.tables import Store
from jobs.cli import main
from jobs.scoring.run import run as score
from jobs.selecting.run import export, run
from jobs.stored.explain import run as explain
from udfs.indicators import load_model_list, resolve
from udfs.neighbors.facility_location import near_rows

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[3] / "conf" / "sample"
FILES = ("alpaca.json", "chat.jsonl", "dolly.jsonl", "questions.csv", "sharegpt.jsonl")
READ = {"format": "auto", "columns": {}, "best_path": False, "id": None, "keep": ()}


def settings(folder: Path, sets: Sequence[str] = (), **options: object) -> Settings:
    base = {
        "store": str(folder / "store"),
        "pool": "sample",
        "tracking": {"uri": "none"},
        "rule": {"source": "paper-v1"},
    }
    options = {**options, "select": {"floor": "off", **options.get("select", {})}}
    return load_settings(sets=sets, options={**base, **options})


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the sample, with numbers made from the texts: no model is loaded."""
    folder = tmp_path_factory.mktemp("select")
    files = tuple(str(SAMPLE / name) for name in FILES)
    score(spark, settings(folder, input=files, stages=("ingest",)))
    store = Store.open(spark, str(folder / "store"))
    examples = store.read("examples")
    made = examples.select(
        "example_id",
        F.lit("sample").alias("pool"),
        F.lit("1").alias("rule_version"),
        F.length("prompt").cast("double").alias("input_length"),
        F.length("response").cast("double").alias("output_length"),
        (F.xxhash64("example_id") % 1000 / 300).alias("reward"),
        F.when(F.length("response") > 20, 0.9).alias("knn_6"),
        F.lit(12.5).alias("perplexity"),
        F.lit(True).alias("rule_models_match"),
        F.lit(False).alias("out_of_range"),
        F.lit("v").alias("inputs_version"),
        F.lit("r").alias("run_id"),
    )
    for name, prediction in (
        ("paper-v1", F.expr(read_rule("paper-v1").to_sql())),
        ("paper-v2", -F.col("output_length") / 100),
    ):
        rows = made.withColumns(
            {
                "rule_name": F.lit(name),
                "predicted_log_loss": prediction,
                "percentile": F.lit(50.0),
                "missing_reason": F.when(prediction.isNull(), "knn_6: too few neighbours"),
            }
        )
        store.replace(rows, "scores", {"pool": "sample", "rule_name": name}, {})
    ids = sorted(row.example_id for row in examples.select("example_id").collect())
    embedded = pd.DataFrame(
        {
            "example_id": ids,
            "bucket": [int(i[:3], 16) for i in ids],
            "fingerprint": resolve(load_model_list("embedded").stages["embed"]).fingerprint,
            "vector": list(made_vectors(len(ids))),
            "tokens": 9,
            "truncated_tokens": 3,
            "status": "ok",
            "reason": "",
            "run_id": "r",
        }
    )
    schema = (
        "example_id STRING, bucket INT, fingerprint STRING, vector ARRAY<FLOAT>, "
        "tokens LONG, truncated_tokens LONG, status STRING, reason STRING, run_id STRING"
    )
    store.append(spark.createDataFrame(embedded, schema), "embeddings", {})
    return folder


def made_vectors(count: int) -> np.ndarray:
    random = np.random.default_rng(2)
    rows = random.normal(size=(40, 4))[random.integers(0, 40, count)]
    rows = rows + 0.2 * random.normal(size=(count, 4))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def everything(spark: SparkSession, folder: Path):
    """All that have a score, as JSON lines."""
    to = str(folder / "all" / "best.jsonl")
    return run(
        spark, settings(folder, select={"top": 5000, "against": "paper-v2"}, export={"to": to})
    )


@pytest.fixture(scope="module")
def stored(spark: SparkSession, folder: Path) -> pd.DataFrame:
    """Examples that have a score, best first."""
    store = Store.open(spark, str(folder / "store"))
    scores = store.read("scores").where("rule_name = 'paper-v1' AND predicted_log_loss IS NOT NULL")
    sources = store.read("occurrences").groupBy("example_id").agg(F.min("source").alias("source"))
    rows = store.read("examples").select("example_id", "raw", "format")
    rows = rows.join(scores, "example_id").join(sources, "example_id").toPandas()
    return rows.sort_values(["predicted_log_loss", "example_id"]).reset_index(drop=True)


def source_records() -> tuple[set[str], list[dict]]:
    """Lines of the JSON lines files, and records of the other two."""
    lines = {
        line
        for name in FILES
        if name.endswith(".jsonl")
        for line in (SAMPLE / name).read_text(encoding="utf-8").split("\n")
    }
    with (SAMPLE / "questions.csv").open(encoding="utf-8", newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    return lines, [*json.loads((SAMPLE / "alpaca.json").read_text(encoding="utf-8")), *rows]


def example_ids(lines: list[str]) -> list[str]:
    """The ids of records, read as `score` reads them."""
    given = [
        {
            "source": "s",
            "position": 1,
            "raw": line.encode(),
            "reason": None,
            "detail": None,
            "records": 1,
        }
        for line in lines
    ]
    return [row["example_id"] for record in given for row in standard_rows(record, READ)]


def test_records_of_several_layouts_become_messages_in_one_file(
    everything, stored: pd.DataFrame, folder: Path
) -> None:
    out = (folder / "all" / "best.jsonl").read_text(encoding="utf-8").split("\n")
    assert out.pop() == ""
    assert {tuple(json.loads(line)) for line in out} == {("messages",)}
    assert example_ids(out) == stored.example_id.tolist()
    assert "written as messages, since no trainer reads such a mixture" in everything.text
    assert "| layout | `messages`, converted |" in everything.card
    assert list((folder / "all").glob("*.jsonl")) == [folder / "all" / "best.jsonl"]


def test_as_they_came_is_a_file_per_layout_byte_for_byte_best_first(
    picked, spark: SparkSession, stored: pd.DataFrame, tmp_path: Path
) -> None:
    store, rows, _, _ = picked
    frame = pd.DataFrame({"example_id": stored.example_id, "score": 0.5})
    chosen = spark.createDataFrame(frame.assign(rank=range(1, len(frame) + 1)))
    target = target_of(Export(to=str(tmp_path / "best.jsonl"), layout="original"))
    written = export(store, rows, chosen, target, overwrite=False)
    names = {"alpaca", "dolly", "messages", "sharegpt"}
    assert {path.name for path in tmp_path.iterdir()} == {f"best.{each}.jsonl" for each in names}
    assert sorted(written.places) == sorted(map(str, tmp_path.iterdir()))
    assert "alpaca (instruction, output) in best.alpaca.jsonl" in written.layout
    lines, records = source_records()
    for name in names:
        out = (tmp_path / f"best.{name}.jsonl").read_text(encoding="utf-8").splitlines()
        # Of copies in two files one record is kept: the first source need not be where it is from.
        assert all(line in lines or json.loads(line) in records for line in out)
        assert example_ids(out) == stored[stored.format == name].example_id.tolist()
    with pytest.raises(UserError, match=r"best\.\w+\.jsonl exists: give another --to"):
        export(store, rows, chosen, target, overwrite=False)


def test_the_counts_of_the_summary_add_up_and_the_sql_runs(
    everything, stored: pd.DataFrame, spark: SparkSession
) -> None:
    facts = everything.facts
    assert facts.size == len(stored) == facts.pool - facts.unscored
    assert facts.unscored > 0
    assert f"pool {facts.pool:,} = selected {facts.size:,} + not selected 0 + without a score " in (
        everything.text
    )
    assert "knn_6: too few neighbours" in everything.text
    assert f"{facts.size:,} of the 5,000 that were asked for" in everything.text
    assert facts.sources["selected"].sum() == facts.size
    statement = everything.text.split("SQL to try next\n")[1].split(";")[0]
    assert len(spark.sql(statement).collect()) == 20


def test_the_card_names_rule_sources_means_and_truncation(everything, folder: Path) -> None:
    card = (folder / "all" / "best.md").read_text(encoding="utf-8")
    assert card == everything.card
    assert "| rule | paper-v1 version 1, fingerprint `" in card
    assert f"| embed | {everything.facts.size:,} | 100.0% |" in card
    assert "| perplexity | 12.5 | 12.5 |" in card
    assert all(f"{name} | " in card for name in FILES)


def test_what_changes_between_two_rules_adds_up(everything, stored: pd.DataFrame) -> None:
    # paper-v2's made-up scores know every example, so all are kept and the unscored enter there.
    said = re.search(r"against paper-v2: (\d+) kept, (\d+) entered, (\d+) left", everything.text)
    assert said
    kept, entered, left = map(int, said.groups())
    assert (kept, entered, left) == (len(stored), 0, everything.facts.unscored)
    expected = stored.predicted_log_loss.rank().corr(-stored.output_length.rank())
    assert f"predictions {expected:.3f} (n={len(stored)})" in everything.text


def test_the_cards_command_chooses_the_same_and_the_store_keeps_it_once(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{folder}/mlflow.db"
    chosen = {"fraction": 0.1, "quota": {"alpaca*": 0.5, "chat": 9}, "strategy": "longest"}
    first = run(spark, settings(folder, select=chosen, tracking={"uri": uri}))
    words = shlex.split(first.card.split("```")[1])
    assert words.pop(0) == "instructmining"
    main([*words, "--tracking-uri", "none"])
    text = capsys.readouterr().out
    assert f"subset {first.facts.subset}: the store has it already" in text
    subsets = Store.open(spark, str(folder / "store")).read("subsets")
    rows = subsets.where(F.col("subset") == first.facts.subset).toPandas()
    assert sorted(rows["rank"]) == list(range(1, first.facts.size + 1))
    recipe = json.loads(rows.recipe[0])
    assert (recipe["strategy"], recipe["rule"]["name"]) == ("longest", "paper-v1")
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    [recorded] = client.search_runs([client.get_experiment_by_name("instructmining").experiment_id])
    assert recorded.data.metrics["selected"] == first.facts.size
    names = {item.path for item in client.list_artifacts(recorded.info.run_id)}
    assert {"card.md", "recipe.json", "rule.json"} <= names


@pytest.fixture(scope="module")
def picked(spark: SparkSession, folder: Path, stored: pd.DataFrame):
    """Store, pool rows and single-turn examples, ranked."""
    store = Store.open(spark, str(folder / "store"))
    single = stored[stored.format.isin(["alpaca", "dolly", "pairs"])].head(60)
    frame = pd.DataFrame({"example_id": single.example_id, "rank": range(1, 61), "score": 0.5})
    rows = candidates(store, "sample", read_rule("paper-v1"))
    return store, rows, spark.createDataFrame(frame), single.example_id.tolist()


@pytest.mark.parametrize("layout", ["alpaca", "dolly", "pairs", "sharegpt", "messages"])
def test_a_converted_export_reads_back_as_the_same_examples(
    picked, tmp_path: Path, layout: str
) -> None:
    store, rows, chosen, ids = picked
    target = target_of(Export(to=str(tmp_path / "x.jsonl.gz"), layout=layout))
    export(store, rows, chosen, target, overwrite=False)
    with gzip.open(tmp_path / "x.jsonl.gz", "rt", encoding="utf-8") as file:
        out = file.read().splitlines()
    assert example_ids(out) == ids


@pytest.mark.parametrize("name", ["x.parquet", "x.delta"])
def test_a_table_holds_rank_texts_and_the_raw_record(
    picked, spark: SparkSession, tmp_path: Path, name: str
) -> None:
    store, rows, chosen, ids = picked
    target = target_of(Export(to=str(tmp_path / name)))
    export(store, rows, chosen, target, overwrite=False)
    found = spark.read.format(target.kind).load(str(tmp_path / name)).orderBy("rank").collect()
    assert [row.example_id for row in found] == ids
    assert example_ids([one_line(row.raw) for row in found]) == ids
    assert all(row.messages[-1].content == row.response for row in found)
    with pytest.raises(UserError, match=r"exists: give another --to, or --overwrite"):
        export(store, rows, chosen, target, overwrite=False)
    export(store, rows, chosen.where("rank <= 5"), target, overwrite=True)
    assert spark.read.format(target.kind).load(str(tmp_path / name)).count() == 5


def test_a_layout_that_cannot_hold_a_conversation_leaves_no_file(
    picked, stored: pd.DataFrame, spark: SparkSession, tmp_path: Path
) -> None:
    store, rows, _, _ = picked
    ids = stored[stored.format == "sharegpt"].example_id
    frame = pd.DataFrame({"example_id": ids, "rank": range(1, len(ids) + 1), "score": 0.5})
    target = target_of(Export(to=str(tmp_path / "x.jsonl"), layout="alpaca"))
    with pytest.raises(UserError, match=r"example [0-9a-f]{32}: the layout alpaca cannot hold"):
        export(store, rows, spark.createDataFrame(frame), target, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_diversity_chooses_what_the_plain_functions_choose_from_all_vectors(
    spark: SparkSession, folder: Path, stored: pd.DataFrame
) -> None:
    store = Store.open(spark, str(folder / "store"))
    ids = sorted(row.example_id for row in store.read("examples").select("example_id").collect())
    places = {each: place for place, each in enumerate(ids)}
    vectors = made_vectors(len(ids))[[places[each] for each in stored.example_id]]
    near = near_rows(vectors)
    weights = 1 - np.arange(len(vectors)) / len(vectors)
    expected = {
        "cosine": apart(vectors, 0.9, Room(25)),
        "near_duplicates": apart(vectors, 0.9, Room(25), among_all=True),
        "facility": facility_location(near.starts, near.rows, near.cosines, weights, Room(25)),
    }
    assert len({tuple(rows) for rows in expected.values()}) == 3
    for name, rows in expected.items():
        found = run(spark, settings(folder, select={"top": 25, "diversity": name}))
        chosen = found.picked.orderBy("rank").toPandas().example_id.tolist()
        assert chosen == stored.example_id[rows].tolist(), name


def test_a_strategy_without_a_rule_works_on_a_pool_that_was_not_scored(
    spark: SparkSession, folder: Path
) -> None:
    score(
        spark,
        settings(folder, pool="new", input=(str(SAMPLE / "dolly.jsonl"),), stages=("ingest",)),
    )
    chosen = {"top": 20, "strategy": "random"}
    found = run(spark, settings(folder, pool="new", select=chosen, rule={"source": "auto"}))
    assert found.facts.size == 20
    with pytest.raises(
        UserError,
        match=r"'new' was not scored with rule paper-v1 version 1: run "
        r"instructmining score --store .* --pool new --rule "
        r"paper-v1 --stages rule",
    ):
        run(spark, settings(folder, pool="new", select={"top": 20}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "none"}, "pool 'none' in .* is empty: run instructmining score --input"),
        ({"export": {"to": "x.csv"}}, r"--to x\.csv: end it in \.jsonl"),
        ({"export": {"to": "x.jsonl", "layout": "vicuna"}}, "--as vicuna: name one of auto"),
        (
            {"export": {"to": "x.parquet", "layout": "alpaca"}},
            "--as alpaca is a layout of JSON lines",
        ),
        ({"export": {"to": "s3://b/x.jsonl"}}, r"local or mounted path"),
        ({"select": {"top": 1, "fraction": 0.1}}, "--top and --fraction: give one size only"),
        ({"select": {"threshold": -99}}, "no example of pool 'sample' is within the threshold"),
        ({"select": {"tokens": 1}}, "--tokens 1: the best example alone is longer"),
        ({"select": {"top": 1, "strategy": "ifd"}}, "no example .* has a score for strategy ifd"),
        ({"select": {"diversity": "facility", "threshold": 1}}, "facility needs a number"),
    ],
)
def test_a_mistake_is_one_sentence(
    spark: SparkSession, folder: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(spark, settings(folder, **{"select": {"top": 5}, **options}))


def test_nothing_is_overwritten_unless_told_to(
    everything, spark: SparkSession, folder: Path
) -> None:
    to = folder / "all" / "best.jsonl"
    before = to.read_bytes()
    with pytest.raises(UserError, match=r"best\.jsonl exists: give another --to, or --overwrite"):
        run(spark, settings(folder, select={"top": 2}, export={"to": str(to)}))
    assert to.read_bytes() == before


def test_one_line_changes_breaks_between_values_only() -> None:
    assert one_line('{"a": 1.10,\r\n  "b\\n": "x  y"}') == '{"a": 1.10, "b\\n": "x  y"}'
    assert one_line('{"a": "x\ny"}') == '{"a": "x\\ny"}'  # a lenient reader took it
    assert one_line('{"a":\t1.10}') == '{"a":\t1.10}'


CONNECT = """
import sys
from instructmining.spark.session import get_session
from instructmining.settings.loading import load_settings
from jobs.selecting.run import run

spark, _ = get_session({"spark.api.mode": "connect"})
assert "connect" in type(spark).__module__
for sets in sys.argv[2:]:
    base = {"store": sys.argv[1], "pool": "sample", "tracking": {"uri": "none"},
            "rule": {"source": "paper-v1"}, "select": {"floor": "off"}}
    print("chose", run(spark, load_settings(sets=sets.split(), options=base)).facts.subset)
spark.stop()
"""


def test_spark_connect_chooses_and_exports_the_same(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("grpc")
    choices = [
        "select.top=40 select.against=paper-v2",
        "select.tokens=9000",
        'select.quota={"alpaca":5,"chat":0.2} select.top=30',
        "select.diversity=near_duplicates select.top=20",
    ]
    here = [run(spark, settings(folder, sets=each.split())) for each in choices]
    exports = [f"export.to={tmp_path}/0.jsonl", f"export.to={tmp_path}/1.delta", "", ""]
    words = [" ".join(pair).strip() for pair in zip(choices, exports, strict=True)]
    there = subprocess.run(
        [sys.executable, "-c", CONNECT, str(folder / "store"), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert there.returncode == 0, there.stderr[-3000:]
    chose = re.findall(r"^chose (\w{32})$", there.stdout, re.MULTILINE)
    assert chose == [each.facts.subset for each in here]
    lines = (tmp_path / "0.jsonl").read_text(encoding="utf-8").splitlines()
    assert example_ids(lines) == here[0].picked.orderBy("rank").toPandas().example_id.tolist()
    assert spark.read.format("delta").load(str(tmp_path / "1.delta")).count() == here[1].facts.size


def test_tools_reasoning_masks_and_pictures_come_back_in_every_layout_that_holds_them(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"role": "user", "content": "Wann fährt die Straßenbahn? 何時?"}
    said = {"role": "assistant", "content": "At nine.", "reasoning_content": "It is eight."}
    call = {"id": "c", "type": "function", "function": {"name": "trams", "arguments": "{}"}}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "content": "9:00", "tool_call_id": "c"}
    wrong = {"role": "assistant", "content": "At ten.", "weight": 0}
    records = [
        {"messages": [asked, said]},
        {"messages": [asked, said], "tools": [{"name": "trams"}]},
        {"messages": [asked, called, result, said], "tools": [{"name": "trams"}]},
        {"messages": [asked, wrong, asked, said]},
        {"messages": [asked, said], "image": "1.png"},
        {"messages": [asked, wrong]},
    ]
    (tmp_path / "turns.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    base = {"input": (str(tmp_path / "turns.jsonl"),), "stages": ("ingest",)}
    score(spark, settings(tmp_path, **base))
    text = capsys.readouterr().out
    assert "rows read 6 = scored 5 + copies 0 + quarantined 1" in text
    assert "  quarantined: 1 nothing_to_learn" in text
    assert "  not seen by the models: pictures, sounds, films or files of 1 rows" in text
    assert "  not seen by the models: tool definitions of 2 rows" in text
    store = Store.open(spark, str(tmp_path / "store"))
    ids = [row.example_id for row in store.read("examples").select("example_id").collect()]
    frame = pd.DataFrame({"example_id": ids, "rank": range(1, 6), "score": 0.5})
    chosen = spark.createDataFrame(frame)
    rows = chosen.select("example_id", F.lit("turns.jsonl").alias("source"))
    lines = {}
    for layout in ("auto", "messages", "sharegpt"):
        target = target_of(Export(to=str(tmp_path / f"{layout}.jsonl"), layout=layout))
        export(store, rows, chosen, target, overwrite=False)
        lines[layout] = Path(target.place).read_text(encoding="utf-8").splitlines()
        assert example_ids(lines[layout]) == ids
    expected = sorted(map(json.dumps, records[:5]))
    assert sorted(json.dumps(json.loads(line)) for line in lines["auto"]) == expected
    assert sorted(json.dumps(json.loads(line)) for line in lines["messages"]) == expected


def test_the_library_datasets_reads_what_is_written_for_it(
    spark: SparkSession, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    select = {"top": 30}
    written = {}
    for form in ("hub", "save_to_disk"):
        to = str(tmp_path / form)
        chosen = run(spark, settings(folder, select=select, export={"to": to, "layout": form}))
        written[form] = to
    head = yaml.safe_load(Path(written["hub"], "README.md").read_text().split("---\n")[1])
    assert head["size_categories"] == ["n<1K"]
    assert head["instructmining"]["rule"] == "paper-v1 1"
    assert sum(head["instructmining"]["sources"].values()) == 30
    by_form = {
        "hub": datasets.load_dataset(written["hub"], split="train"),
        "save_to_disk": datasets.load_from_disk(written["save_to_disk"]),
    }
    ids = chosen.picked.orderBy("rank").toPandas().example_id.tolist()
    for data in by_form.values():
        assert data["example_id"] == ids
        lines = [json.dumps({"messages": messages}) for messages in data["messages"]]
        assert example_ids(lines) == ids
    to = str(tmp_path / "best.jsonl")
    export_ = {"to": to, "trainer": "llama-factory"}
    page = run(spark, settings(folder, select=select, export=export_)).text
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["best"]
    lines = (tmp_path / entry["file_name"]).read_text(encoding="utf-8").splitlines()
    assert example_ids(lines) == ids
    assert f"--dataset_dir {tmp_path} --dataset best" in page
    Path(to).unlink()
    Path(to).with_suffix(".md").unlink()
    with pytest.raises(UserError, match=r"dataset_info\.json exists"):
        run(spark, settings(folder, select=select, export=export_))


def test_a_chosen_answer_comes_out_beside_the_rejected_one_of_its_record(
    spark: SparkSession, tmp_path: Path
) -> None:
    records = [
        {"prompt": "Grüße", "chosen": "日本", "rejected": "no"},
        {"prompt": "q", "response": "a"},
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    score(spark, settings(tmp_path, input=(str(tmp_path / "pairs.jsonl"),), stages=("ingest",)))
    store = Store.open(spark, str(tmp_path / "store"))
    wanted = store.read("examples").where("response != 'no'").select("example_id").toPandas()
    frame = pd.DataFrame({"example_id": wanted.example_id, "rank": [1, 2], "score": 0.5})
    chosen = spark.createDataFrame(frame)
    rows = chosen.select("example_id", F.lit("pairs.jsonl").alias("source"))
    target = target_of(Export(to=str(tmp_path / "out.jsonl"), layout="preference"))
    written = export(store, rows, chosen, target, overwrite=False)
    assert json.loads(Path(target.place).read_text(encoding="utf-8")) == {
        "prompt": [{"role": "user", "content": "Grüße"}],
        "chosen": [{"role": "assistant", "content": "日本"}],
        "rejected": [{"role": "assistant", "content": "no"}],
    }
    assert written.notes == ["1 examples are left out: no rejected answer stood beside them"]


def test_groups_are_explained_by_what_the_rule_sees(
    spark: SparkSession, folder: Path, stored: pd.DataFrame
) -> None:
    store = Store.open(spark, str(folder / "store"))
    rule = read_rule("paper-v1")
    scores = store.read("scores").where("rule_name = 'paper-v1'").withColumns(rule.contributions())
    store.replace(scores, "scores", {"pool": "sample", "rule_name": "paper-v1"}, {})
    text = explain(spark, settings(folder))
    means = stored.groupby("source").predicted_log_loss.mean().sort_values(ascending=False)
    named = [line.partition(":")[0] for line in text.splitlines() if " to the rest (" in line]
    assert set(named) == set(means.index)
    for name, mean in means.items():
        rest = stored.predicted_log_loss[stored.source != name].mean()
        assert f"{name}: {mean:+.4f}, {mean - rest:+.4f} to the rest" in text
    by_length = explain(spark, settings(folder, explain={"by": "length"}))
    assert by_length.count(" tokens: ") == 4
    by_language = explain(spark, settings(folder, explain={"by": "language"}))
    assert "\nen: " in by_language
    assert "\nja: " in by_language
    with pytest.raises(UserError, match="--by topic: the pool keeps no such column"):
        explain(spark, settings(folder, explain={"by": "topic"}))
