"""What erasing finds, removes and only names in files and in MLflow, without Spark."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from mlflow import MlflowClient
from pyarrow.parquet import write_table

from instructmining.erasing.traces import Trace
from instructmining.errors import UserError
from instructmining.identity import example_id
from instructmining.settings.loading import load_settings
from instructmining.tracking.mlflow_runs import log_run
from jobs.stored.erase_elsewhere import Places, erase_elsewhere, look_elsewhere

QUESTION, ANSWER = "Wer zählte die Monde?", "Der Reiher zählte 十七 Monde über der alten Mühle."
TRACE = Trace.of("a" * 32, [QUESTION, ANSWER])
BOTH = f"<p>{QUESTION}<p>{ANSWER}"


def settings(place: Path, **options):
    return load_settings(
        options={
            "store": str(place / "out"),
            "tracking": {"uri": "none"},
            **options,
        }
    )


def places_of(settings) -> Places:
    return Places(settings.store, settings.files, settings.erase.exports, settings.tracking)


def erased(settings, trace: Trace = TRACE) -> list[str]:
    elsewhere = look_elsewhere(places_of(settings), [trace.example_id], [trace])
    return erase_elsewhere(elsewhere, settings.erase.delete_elsewhere)


def commands(lines: list[str]) -> list[str]:
    """The commands that the lines name, for a shell."""
    return [line.partition("; this deletes it: ")[2] for line in lines]


def tracked_in(place: Path) -> dict[str, str]:
    return {"uri": f"sqlite:///{place}/mlflow.db"}


def recorded(place: Path, exported: str, store: str = "out") -> None:
    given = settings(place, tracking=tracked_in(place))
    with log_run(given.tracking, "select") as tracked:
        tracked.log_params({"store": store, "export": {"to": exported}})


@pytest.mark.parametrize("way", ["flag", "command"])
@pytest.mark.parametrize("name", ["best.jsonl", "the best's.jsonl.gz"])
def test_lines_of_an_own_layout_are_known_by_their_texts(tmp_path, name, way):
    opened = gzip.open if name.endswith(".gz") else open
    kept = [json.dumps({"q": QUESTION, "a": "Niemand."}), "", "{broken", "null"]
    mine = json.dumps({"q": QUESTION, "a": ANSWER, "own": None}, ensure_ascii=False)
    with opened(tmp_path / name, "wt", encoding="utf-8") as file:
        file.write("\n".join([kept[0], mine, *kept[1:3], mine, kept[3]]))
    erase = {"exports": (str(tmp_path),), "delete_elsewhere": way == "flag"}
    lines = erased(settings(tmp_path, erase=erase))
    if way == "flag":
        assert lines == [f"  deleted 2 lines of {tmp_path / name}"]
    else:
        assert lines[0].startswith(f"  NOT deleted (holds it): 2 lines of {tmp_path / name}; this")
        with opened(tmp_path / name, "rt", encoding="utf-8") as file:
            assert file.read().count(ANSWER) == 2
        subprocess.run(commands(lines)[0], shell=True, check=True)
    with opened(tmp_path / name, "rt", encoding="utf-8") as file:
        assert file.read() == "\n".join(kept)
    assert os.listdir(tmp_path) == [name]


def test_lines_that_may_hold_it_stay_even_with_the_flag(tmp_path):
    other = {"instruction": "Und wer noch?", "output": ANSWER}  # a known layout, another example
    longer = [QUESTION, ANSWER, "Und dann?", "Dann schlief er."]  # and a conversation with both
    roles = ["user", "assistant"] * 2
    turns = [{"role": role, "content": text} for role, text in zip(roles, longer, strict=True)]
    content = "\n".join(json.dumps(line) for line in (other, {"messages": turns}, {"x": 1}))
    (tmp_path / "best.jsonl").write_text(content, encoding="utf-8")
    erase = {"exports": (str(tmp_path / "best.jsonl"),), "delete_elsewhere": True}
    (line,) = erased(settings(tmp_path, erase=erase))
    assert line.startswith(f"  NOT deleted (may hold it): 2 lines of {tmp_path}/best.jsonl; ")
    assert (tmp_path / "best.jsonl").read_text(encoding="utf-8") == content


def test_lines_of_a_known_layout_are_known_by_their_ids(tmp_path):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    short = Trace.of(example_id(turns), ["a", "b"])
    lines = [json.dumps({"instruction": "a", "output": "b"}), "Kein Satz."]
    (tmp_path / "best.jsonl").write_text("\n".join(lines))
    erase = {"exports": (str(tmp_path / "best.jsonl"),), "delete_elsewhere": True}
    assert erased(settings(tmp_path, erase=erase), short) == [
        f"  deleted 1 line of {tmp_path}/best.jsonl"
    ]
    assert (tmp_path / "best.jsonl").read_text() == lines[1]


def test_an_export_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--export .*/tpyo\.jsonl: there is no such file"):
        erased(settings(tmp_path, erase={"exports": (str(tmp_path / "tpyo.jsonl"),)}))


@pytest.mark.parametrize(
    "store", ["out", "./out/", "x/../out", "{place}/out", "file://{place}/out"]
)
def test_runs_on_this_store_are_known_however_it_was_written(tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    for name in ("best.jsonl", "other.jsonl"):
        (tmp_path / name).write_text(json.dumps({"q": QUESTION, "a": ANSWER}))
    recorded(tmp_path, "best.jsonl", store.format(place=tmp_path))
    recorded(tmp_path, "other.jsonl", "another")
    places = places_of(settings(tmp_path, tracking=tracked_in(tmp_path)))
    found = look_elsewhere(places, ["a" * 32], [TRACE])
    names = [finding.name for finding in found.findings]
    assert (names, found.notes) == ([f"1 line of {tmp_path}/best.jsonl"], [])


def test_what_a_run_wrote_and_is_not_there_is_said(tmp_path, monkeypatch):
    for name in ("best.jsonl", "best.jsonl", "s3://bucket/best.parquet", "table:a.b"):
        recorded(tmp_path, name, str(tmp_path / "out"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    places = places_of(settings(tmp_path, tracking=tracked_in(tmp_path)))
    notes = sorted(look_elsewhere(places, [], []).notes)
    assert [note.split(", which")[0] for note in notes] == [
        "  NOT deleted (may hold it): s3://bucket/best.parquet",
        "  NOT deleted (may hold it): table:a.b",
        f"  not found: {tmp_path}/elsewhere/best.jsonl",
    ]


@pytest.fixture
def full(tmp_path):
    """Files and artifacts: some hold the example, some its beginnings, some nothing of it."""
    (tmp_path / "files" / "index").mkdir(parents=True)
    (tmp_path / "files" / "index" / "v.npy").write_bytes(b"vectors")
    texts = {
        "it's.html": BOTH,
        "cut.html": BOTH[:70],
        "other.html": "<p>nothing",
        "all.csv": BOTH,
        "damaged.parquet": "PAR1",
    }
    for name, text in texts.items():
        (tmp_path / "files" / name).write_text(text, encoding="utf-8")
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    for name, messages in (("best.parquet", turns), ("rest.parquet", turns[:1])):
        rows = [{"messages": None}, {"messages": messages}]
        write_table(pa.Table.from_pylist(rows), tmp_path / "files" / name)
    given = settings(tmp_path, files=str(tmp_path / "files"), tracking=tracked_in(tmp_path))
    with log_run(given.tracking, "report") as tracked:
        for name in ("it's.html", "cut.html", "other.html"):
            tracked.log_text(texts[name], f"pages/{name}")
    return given


def artifacts(given) -> set[str]:
    client = MlflowClient(given.tracking.uri)
    experiment = client.get_experiment_by_name(given.tracking.experiment)
    (run,) = client.search_runs([experiment.experiment_id])
    return {each.path for each in client.list_artifacts(run.info.run_id, "pages")}


def test_without_the_flag_nothing_is_deleted_and_the_named_commands_do_it(full, tmp_path):
    lines = erased(full)
    assert [line.split("; this")[0].split(" of run ")[0] for line in lines[1:]] == [
        f"  NOT deleted (holds it): {tmp_path}/files/all.csv as a whole",
        f"  NOT deleted (holds it): {tmp_path}/files/best.parquet as a whole",
        f"  NOT deleted (may hold it): {tmp_path}/files/cut.html",
        f"  NOT deleted (may hold it): {tmp_path}/files/damaged.parquet as a whole",
        f"  NOT deleted (holds it): {tmp_path}/files/it's.html",
        "  NOT deleted (may hold it): artifact pages/cut.html",
        "  NOT deleted (holds it): artifact pages/it's.html",
    ]
    assert lines[0] == f"  removed index    {tmp_path}/files/index/v.npy"
    assert len(os.listdir(tmp_path / "files")) == 8
    assert len(artifacts(full)) == 3
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands(lines[1:]):
        subprocess.run(command, shell=True, check=True, env={**os.environ, "PATH": path})
    assert set(os.listdir(tmp_path / "files")) == {"index", "other.html", "rest.parquet"}
    assert artifacts(full) == {"pages/other.html"}


def test_with_the_flag_only_what_certainly_holds_it_is_deleted(full, tmp_path):
    given = full.model_copy(
        update={"erase": full.erase.model_copy(update={"delete_elsewhere": True})}
    )
    lines = erased(given)
    assert [line.split(" of run ")[0] for line in lines if "  deleted " in line] == [
        f"  deleted {tmp_path}/files/it's.html",
        "  deleted artifact pages/it's.html",
    ]
    assert set(os.listdir(tmp_path / "files")) == {
        "all.csv",
        "cut.html",
        "index",
        "other.html",
        "best.parquet",
        "damaged.parquet",
        "rest.parquet",
    }
    assert artifacts(full) == {"pages/cut.html", "pages/other.html"}
    assert len([line for line in lines if line.startswith("  NOT deleted (")]) == 5


def test_short_texts_are_proof_of_nothing(tmp_path):
    (tmp_path / "files").mkdir()
    for name in ("page.html", "table.json"):
        (tmp_path / "files" / name).write_text('{"a": "bat"}')
    given = settings(tmp_path, files=str(tmp_path / "files"), erase={"delete_elsewhere": True})
    lines = erased(given, Trace.of("d" * 32, ["a", "b"]))
    assert [line.split("; this")[0] for line in lines] == [
        f"  NOT deleted (may hold it): {tmp_path}/files/page.html",
        f"  NOT deleted (may hold it): {tmp_path}/files/table.json as a whole",
    ]
    assert len(os.listdir(tmp_path / "files")) == 2
