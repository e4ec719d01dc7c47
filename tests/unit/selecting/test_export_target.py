"""Where an export goes, and what it may not write over."""

import pytest

from instructmining.errors import UserError
from instructmining.selecting.export_target import (
    exported_files,
    of_layout,
    refuse_existing,
    target_of,
)
from instructmining.settings.sections import Export


@pytest.mark.parametrize(
    ("options", "kind", "layout"),
    [
        ({"to": "best.jsonl"}, "lines", "auto"),
        ({"to": "best.ndjson.gz", "layout": "alpaca"}, "lines", "alpaca"),
        ({"to": "best.jsonl", "layout": "preference"}, "lines", "preference"),
        ({"to": "best.parquet"}, "parquet", "original"),
        ({"to": "folder", "layout": "parquet"}, "parquet", "original"),
        ({"to": "s3://bucket/best.delta"}, "delta", "original"),
        ({"to": "folder", "layout": "hub"}, "hub", "original"),
        ({"to": "table:main.a.best"}, "table", "original"),
        ({"to": "質問.jsonl"}, "lines", "auto"),
    ],
)
def test_the_ending_or_the_form_says_what_is_written(options, kind, layout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = target_of(Export(**options))
    assert (target.kind, target.layout) == (kind, layout)
    if kind == "table":
        assert target.place == "main.a.best"
    elif "://" not in options["to"]:
        assert target.place == str(tmp_path / options["to"])


def test_without_a_place_nothing_is_exported():
    assert target_of(Export()) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"to": "best.txt"}, "end it in .jsonl, .jsonl.gz, .parquet or .delta"),
        ({"to": "best"}, "end it in .jsonl"),
        ({"to": "best.jsonl", "layout": "parquet"}, "end it in .jsonl"),
        ({"to": "best.jsonl", "layout": "alpacca"}, "--as alpacca: name one of auto, original"),
        ({"to": "best.parquet", "layout": "alpaca"}, "is a layout of JSON lines, which --to"),
        ({"to": "table:a.b", "layout": "messages"}, "is a layout of JSON lines, which --to"),
        ({"to": "s3://b/best.jsonl"}, "is written to a local or mounted path"),
        ({"to": "s3://b/best", "layout": "hub"}, "writes to a local or mounted folder"),
        ({"trainer": "trl"}, "--for trl writes a file: name it with --to FILE.jsonl"),
        ({"to": "best.jsonl.gz", "trainer": "trl"}, "--for trl writes JSON lines"),
        ({"to": "best.parquet", "trainer": "trl"}, "--for trl writes JSON lines"),
        ({"to": "a.jsonl", "trainer": "trl", "layout": "alpaca"}, "has a layout of its own"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        target_of(Export(**options))


@pytest.mark.parametrize(
    ("to", "card"),
    [
        ("best.jsonl", "best.md"),
        ("best.v2.jsonl.gz", "best.v2.md"),
        ("best.parquet", "best.md"),
        ("s3://bucket/best.parquet", None),
        ("table:a.b", None),
    ],
)
def test_the_card_stands_beside_what_is_local(to, card):
    path = target_of(Export(to=to)).card
    assert (path and path.name) == card


def test_nothing_is_written_over_without_being_told_to(tmp_path):
    target = target_of(Export(to=str(tmp_path / "best.jsonl")))
    refuse_existing(None, target, overwrite=False)
    (tmp_path / "best.md").write_text("a card of another choice")
    with pytest.raises(UserError, match=r"best\.md exists: give another --to, or --overwrite"):
        refuse_existing(None, target, overwrite=False)
    refuse_existing(None, target, overwrite=True)
    (tmp_path / "best.jsonl").mkdir()
    with pytest.raises(UserError, match="is a folder, and JSON lines are one file"):
        refuse_existing(None, target, overwrite=True)


@pytest.mark.parametrize("name", ["best.jsonl", "best.v2.jsonl.gz", "be[s]t.jsonl", "質問.jsonl"])
def test_the_files_of_an_export_by_layout_are_found_again_and_no_others(name, tmp_path):
    path = tmp_path / name
    mine = [of_layout(path, layout) for layout in ("alpaca", "sharegpt")]
    for file in (path, *mine, tmp_path / "best2.jsonl", tmp_path / "other.alpaca.jsonl"):
        file.write_text("{}\n")
    assert exported_files(path) == [path, *sorted(mine)]
    assert all(file.name.endswith((".jsonl", ".jsonl.gz")) for file in mine)
