"""What would fail a run is said before it, in one sentence; nothing is measured or written."""

import json
from pathlib import Path

import pytest
import tiny_models
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.reading.inputs import find_inputs
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.checks import preflight as module
from jobs.checks.preflight import check_output, preflight
from udfs.indicators import load_model_list, resolve

ROWS = [
    {"question": "Ask " + "?" * (i % 2 + 1), "reply": {"text": f"Word {i}"}, "score": i}
    for i in range(20)
]
COLUMNS = {"prompt": "question", "response": "reply.text"}
FUNCTIONS = """
def length(conversations):
    return [len(c[-1]["content"]) for c in conversations]

def broken(conversations):
    raise RuntimeError("no licence")

def half(conversations):
    return [1 / (len(c[0]["content"]) - 5) for c in conversations]
"""


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows as JSON lines, CSV, Parquet and Delta; and functions that the workers have."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (folder / "rows.csv").write_text("question,answer\n" + "ask,word\n" * 20)
    types = "question STRING, reply STRUCT<text: STRING>, score INT"
    rows = spark.createDataFrame(ROWS, types)
    rows.coalesce(1).write.parquet(str(folder / "parquet"))
    rows.coalesce(1).write.format("delta").save(str(folder / "delta"))
    (folder / "preflight_functions.py").write_text(FUNCTIONS)
    spark.sparkContext.addPyFile(str(folder / "preflight_functions.py"))
    return folder


def checked(
    spark: SparkSession,
    data: Path,
    store: Path,
    stages: str = "",
    /,
    name: str = "rows.jsonl",
    **options: object,
) -> list[str]:
    """Preflight of a run on `name` with the model list `stages`; the store stays as it was."""
    (data / "list.yml").write_text(f"name: test\n{stages}\n")
    given = {
        "input": (str(data / name),),
        "store": str(store),
        "models": str(data / "list.yml"),
        "read": {"columns": COLUMNS},
        "measure": {"dtype": "float32"},
    }
    settings = load_settings(options={**given, **options})
    models = load_model_list(settings.models)
    resolved = {stage: resolve(spec) for stage, spec in models.stages.items()}
    before = sorted(store.rglob("*"))
    try:
        return preflight(
            spark,
            Store.open(spark, settings.store),
            settings,
            find_inputs(spark, settings.input)[0],
            resolved,
            list(resolved),
        )
    finally:
        assert sorted(store.rglob("*")) == before


def refused(message: str):
    return pytest.raises(UserError, match=message)


# The output


def test_a_store_that_can_be_written_passes_and_is_not_created(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    assert checked(spark, data, tmp_path / "new" / "store", files=str(tmp_path / "files")) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["store", "files"])
def test_a_folder_below_a_file_is_refused(
    spark: SparkSession, data: Path, tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").write_text("")
    with refused(f"--{option} .*file/out: it cannot be written"):
        checked(spark, data, tmp_path, **{option: str(tmp_path / "file" / "out")})


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder nobody can write")
def test_a_read_only_folder_is_refused(spark: SparkSession, data: Path, tmp_path: Path) -> None:
    with refused(r"--store /proc/out: it cannot be written \(.*\); name a folder"):
        checked(spark, data, tmp_path, store="/proc/out")


def test_a_scheme_without_a_connector_is_refused(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    with refused(r'No FileSystem for scheme "s9".*connector'):
        checked(spark, data, tmp_path, store="s9://bucket/out")
    with refused("--files s3://bucket: name a folder as all nodes mount it"):
        checked(spark, data, tmp_path, files="s3://bucket")


def test_on_a_cluster_the_tasks_have_to_see_the_folder(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    settings = Settings(store=str(tmp_path / "store"))
    check_output(Store.open(spark, settings.store), settings.files, shared=True)
    assert not module._seen(spark, str(tmp_path / "absent"))


def test_a_schema_is_tried_and_left_as_it_was(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    spark.sql(f"CREATE SCHEMA preflight_schema LOCATION '{place}'")
    try:
        checked(spark, data, place, store="preflight_schema")
        assert spark.sql("SHOW TABLES IN preflight_schema").where("NOT isTemporary").count() == 0
        place.rmdir()
        place.write_text("not a folder")
        with refused("--store preflight_schema: no table can be created there"):
            checked(spark, data, place, store="preflight_schema")
    finally:
        spark.sql("DROP SCHEMA preflight_schema")


# The columns


@pytest.mark.parametrize("name", ["rows.jsonl", "parquet", "delta"])
def test_fields_that_exist_pass_and_others_come_with_the_nearest_name(
    spark: SparkSession, data: Path, tmp_path: Path, name: str
) -> None:
    assert checked(spark, data, tmp_path, name=name, read={"columns": COLUMNS, "id": "score"}) == []
    with refused(r"--columns prompt=qestion: none of the first 20 .* did you mean question\?"):
        checked(
            spark, data, tmp_path, name=name, read={"columns": {**COLUMNS, "prompt": "qestion"}}
        )
    with refused(r"did you mean reply.text\?"):
        checked(
            spark, data, tmp_path, name=name, read={"columns": {**COLUMNS, "response": "reply.txt"}}
        )


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"prompt": "question", "response": "reply"}, "and is an object; did you mean reply"),
        ({"turns": "question", "role": "a", "content": "b"}, "it has to be a list, and is text"),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(
    spark: SparkSession, data: Path, tmp_path: Path, columns: dict[str, str], sentence: str
) -> None:
    with refused(sentence):
        checked(spark, data, tmp_path, read={"columns": columns})


def test_an_absent_id_is_a_mistake_and_an_absent_keep_is_a_note(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    with refused("--id=uuid: .* there are question, reply"):
        checked(spark, data, tmp_path, read={"columns": COLUMNS, "id": "uuid"})
    checked(spark, data, tmp_path, read={"columns": COLUMNS, "id": "reply.text"})  # a path
    notes = checked(spark, data, tmp_path, read={"keep": ("topic", "score", "language")})
    assert notes == ["--keep: none of the first 20 records has topic, language"]


def test_a_field_of_one_file_among_many_is_enough(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    both = (str(data / "rows.csv"), str(data / "rows.jsonl"))
    assert checked(spark, data, tmp_path, input=both, read={"keep": ("answer", "score")}) == []


def test_turns_are_looked_into(spark: SparkSession, data: Path, tmp_path: Path) -> None:
    turns = {"dialog": [{"who": 0, "says": "Ask"}, {"who": 1, "says": "Word"}]}
    (tmp_path / "turns.json").write_text(json.dumps([turns] * 3))
    speakers = {"user": "0", "assistant": "1", "system": "2"}  # what a role field says
    columns = {"turns": "dialog", "role": "who", "content": "says", **speakers}
    given = {"input": (str(tmp_path / "turns.json"),)}
    assert checked(spark, data, tmp_path, read={"columns": columns}, **given) == []
    with refused(r"--columns content=say: .* did you mean says\?"):
        checked(spark, data, tmp_path, read={"columns": {**columns, "content": "say"}}, **given)
    first = {"prompt": "dialog.0.says", "response": "dialog.1.says"}
    assert checked(spark, data, tmp_path, read={"columns": first}, **given) == []
    with refused(r"did you mean dialog.0.says\?"):
        checked(
            spark, data, tmp_path, read={"columns": {**first, "prompt": "dialog.says"}}, **given
        )


def test_columns_that_make_no_conversation_are_refused(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    with refused("columns must name prompt, response .* missing is response"):
        checked(spark, data, tmp_path, read={"columns": {"prompt": "question"}})


# A few records through every model


@pytest.fixture
def long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the input were large."""
    monkeypatch.setattr(module, "TRIAL_FROM", 0)


def function(name: str) -> str:
    spec = f'{{kind: python, indicators: [mine], function: "preflight_functions:{name}"}}'
    return f"classifiers: {{mine: {spec}}}"


def test_a_small_input_is_not_worth_a_trial(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    assert checked(spark, data, tmp_path, function("broken")) == []


@pytest.mark.usefixtures("long_run")
def test_models_that_work_are_named(spark: SparkSession, data: Path, tmp_path: Path) -> None:
    stages = "mtld: {kind: mtld, indicators: [mtld]}\n" + function("half")
    notes = checked(spark, data, tmp_path, stages)
    assert notes == ["tried mtld, mine on the first records before the run"]


@pytest.mark.usefixtures("long_run")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken", "stage mine: .* any of the first 8 records .RuntimeError: no licence.*--stages"),
        ("absent", "stage mine: function 'preflight_functions:absent': write it as"),
    ],
)
def test_a_model_that_fails_on_every_record_is_refused(
    spark: SparkSession, data: Path, tmp_path: Path, name: str, sentence: str
) -> None:
    with refused(sentence):
        checked(spark, data, tmp_path, function(name))


@pytest.mark.usefixtures("long_run")
def test_a_model_that_cannot_be_loaded_is_refused(
    spark: SparkSession, data: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny_models.bert_classifier(tmp_path_factory.mktemp("bert"))
    stage = f'reward: {{kind: sequence_classifier, source: "{folder}", indicators: [reward]}}'
    with refused("stage reward: model .* has 2 outputs; name one of them as `label`"):
        checked(spark, data, tmp_path, stage)


@pytest.mark.usefixtures("long_run")
def test_a_model_with_numbers_in_the_store_is_not_loaded_again(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    assert checked(spark, data, tmp_path, function("length")) != []
    store = Store.open(spark, str(tmp_path))
    model = resolve(load_model_list(str(data / "list.yml")).stages["mine"])
    number = [("0" * 32, 0, "mine", model.fingerprint, {"mine": 4.0}, 0, 0, "ok", None, "run")]
    rows = spark.createDataFrame(number, TABLES["stage_values"].given.ddl)
    store.append(rows, "stage_values", {})
    assert checked(spark, data, tmp_path, function("length")) == []


@pytest.mark.usefixtures("long_run")
def test_without_a_usable_record_reading_has_the_word(
    spark: SparkSession, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.jsonl").write_text("{broken\n")
    assert (
        checked(
            spark, data, tmp_path, function("broken"), read={}, input=(str(tmp_path / "bad.jsonl"),)
        )
        == []
    )
