"""What erasing finds, removes and only names in files and in MLflow, without Spark."""

import gzip
import json
import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from instructmining.erasing.traces import Trace
from instructmining.errors import UserError
from instructmining.identity import example_id
from instructmining.settings.loading import load_settings
from instructmining.tracking.mlflow_runs import log_run
from jobs.stored.erase_elsewhere import erase_elsewhere, look_elsewhere

QUESTION, ANSWER = "Wer zählte die Monde?", "Der Reiher zählte 十七 Monde über der alten Mühle."
TRACE = Trace.of("a" * 32, QUESTION, ANSWER)


def settings(place: Path, **options):
    return load_settings(
        options={
            "store": str(place / "out"),
            "tracking": {"uri": f"sqlite:///{place}/mlflow.db"},
            **options,
        }
    )


def erased(given, trace: Trace = TRACE) -> list[str]:
    return erase_elsewhere(given, look_elsewhere(given), [trace.example_id], [trace])


def recorded(place: Path, exported: str, store: str = "out") -> None:
    given = settings(place)
    with log_run(given.tracking, "select") as tracked:
        tracked.log_params({"store": store, "export": {"to": exported}})


@pytest.mark.parametrize("name", ["best.jsonl", "best.jsonl.gz"])
def test_lines_of_an_own_layout_are_found_by_their_texts(tmp_path, name):
    opened = gzip.open if name.endswith(".gz") else open
    kept = [json.dumps({"q": QUESTION, "a": "Niemand."}), "", "{broken", "null"]
    lines = [json.dumps({"q": QUESTION, "a": ANSWER, "own": None}, ensure_ascii=False), *kept]
    with opened(tmp_path / name, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))
    given = settings(tmp_path, erase={"exports": (str(tmp_path),)})
    assert erased(given) == [f"  1 lines removed from {tmp_path / name}"]
    with opened(tmp_path / name, "rt", encoding="utf-8") as file:
        assert file.read() == "\n".join(kept)


def test_lines_that_may_hold_it_are_counted_and_stay(tmp_path):
    other = {"instruction": "Und wer noch?", "output": ANSWER}  # a known layout, another example
    content = json.dumps(other, ensure_ascii=False) + "\n"
    (tmp_path / "best.jsonl").write_text(content, encoding="utf-8")
    (said,) = erased(settings(tmp_path, erase={"exports": (str(tmp_path / "best.jsonl"),)}))
    assert said.startswith(f"  NOT erased: 1 lines of {tmp_path}/best.jsonl may hold it")
    assert (tmp_path / "best.jsonl").read_text(encoding="utf-8") == content


def test_lines_of_a_known_layout_are_told_by_their_ids(tmp_path):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    short = Trace.of(example_id(turns), "a", "b")
    lines = [json.dumps({"instruction": "a", "output": "b"}), "Kein Satz."]
    (tmp_path / "best.jsonl").write_text("\n".join(lines))
    said = erased(settings(tmp_path, erase={"exports": (str(tmp_path / "best.jsonl"),)}), short)
    assert said == [f"  1 lines removed from {tmp_path}/best.jsonl"]
    assert (tmp_path / "best.jsonl").read_text() == lines[1]


def test_an_export_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--export .*/tpyo\.jsonl: there is no such file"):
        look_elsewhere(settings(tmp_path, erase={"exports": (str(tmp_path / "tpyo.jsonl"),)}))


@pytest.mark.parametrize(
    "store", ["out", "./out/", "x/../out", "{place}/out", "file://{place}/out"]
)
def test_runs_on_this_store_are_known_however_it_was_written(tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.jsonl").write_text(json.dumps({"q": QUESTION, "a": ANSWER}))
    recorded(tmp_path, "best.jsonl", store.format(place=tmp_path))
    recorded(tmp_path, "other.jsonl", "another")
    found = look_elsewhere(settings(tmp_path))
    assert (found.files, found.notes) == ([tmp_path / "best.jsonl"], [])


def test_what_a_run_wrote_and_is_not_there_is_said(tmp_path, monkeypatch):
    for name in ("best.jsonl", "best.jsonl", "s3://bucket/best.parquet", "table:a.b"):
        recorded(tmp_path, name, str(tmp_path / "out"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    notes = sorted(look_elsewhere(settings(tmp_path)).notes)
    assert [note.split(" and ")[0].split(", ")[0] for note in notes] == [
        "  NOT erased: s3://bucket/best.parquet was exported to",
        "  NOT erased: table:a.b was exported to",
        f"  not found: {tmp_path}/elsewhere/best.jsonl",
    ]


def test_files_and_artifacts_that_hold_it_perhaps_by_chance_stay(tmp_path):
    given = settings(tmp_path, files=str(tmp_path / "files"))
    (tmp_path / "files").mkdir()
    for name in ("page.html", "table.json"):
        (tmp_path / "files" / name).write_text('{"a": "bat"}')
    with log_run(given.tracking, "report") as tracked:
        tracked.log_text('{"a": "bat"}', "rule.json")
        tracked.log_text(f"{QUESTION} {ANSWER}", "report.html")
    said = erased(given, Trace.of("d" * 32, "a", "b"))
    assert [line.split(" may hold it")[0].split(" of run")[0] for line in sorted(said)] == [
        f"  NOT erased: {tmp_path}/files/page.html",
        f"  NOT erased: {tmp_path}/files/table.json",
        "  NOT erased: artifact report.html",
        "  NOT erased: artifact rule.json",
    ]
    assert sorted(os.listdir(tmp_path / "files")) == ["page.html", "table.json"]
    client = MlflowClient(given.tracking.uri)
    run = said[-1].split("of run ")[1].split()[0]
    assert len(client.list_artifacts(run)) == 2
    assert any(line.startswith("  deleted artifact report.html") for line in erased(given))
