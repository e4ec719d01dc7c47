"""Data that was edited: a source is what it holds today, and the store says what left it."""

import gzip
import json
import os
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.current import current_occurrences, rejected_examples, stale_examples
from instructmining.store.planning import members
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.scoring.run import run as score
from jobs.selecting.run import run as select
from jobs.stored.maintain import run as maintain

pytestmark = pytest.mark.slow  # each scores a folder several times
Rows = list[tuple[str, str]]
KEPT = ("Wie heißt die Hauptstadt der Steiermark?", "Graz.")
EDITED = ("チロルの州都は？", "ザルツブルク。")
MENDED = ("チロルの州都は？", "インスブルック。")
LEFT = ("Capital of Carinthia?", "Linz.")


def lines(rows: Rows) -> bytes:
    records = [{"instruction": q, "input": None, "output": a} for q, a in rows]
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records).encode()


class Edited:
    """A folder of data that is scored again and again into one store."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        self.store = Store.open(spark, str(folder / "store"))

    def settings(self, **options: object) -> Settings:
        given = {"store": self.store.target, "tracking": {"uri": "none"}, **options}
        return load_settings(options=given)

    def score(self, **files: Rows | None) -> str:
        """Write or delete files (`a` is `a.jsonl`), score the folder, return the summary."""
        for name, rows in files.items():
            path = self.data / f"{name}.jsonl"
            if rows is None:
                path.unlink()
                continue
            path.write_bytes(lines(rows))
            # A file that has just changed is read again in the next run, whatever it holds.
            a_minute_ago = time.time() - 60
            os.utime(path, (a_minute_ago, a_minute_ago))
        run = self.settings(input=(str(self.data),), stages=("ingest",))
        return score(self.store.spark, run).text()

    def stale(self) -> dict[str, int]:
        found = stale_examples(self.store, "default")
        return {Path(row.source).name: row.examples for row in found}

    def current(self) -> list[tuple[str, int, str]]:
        """Source, position and response of the occurrences that stand today."""
        rows = current_occurrences(self.store, "default")
        joined = rows.join(self.store.read("examples"), "example_id")
        found = joined.select("source", "position", "response").collect()
        return sorted((Path(row.source).name, row.position, row.response) for row in found)

    def versions(self) -> dict[str, int]:
        return {table: self.store.version(table) for table in TABLES}

    def selected(self, **options: object) -> list[str]:
        chosen = {"strategy": "random", "top": 9, **options}
        picked = select(self.store.spark, self.settings(select=chosen)).picked
        found = picked.join(self.store.read("examples"), "example_id").collect()
        return sorted(row.response for row in found)


@pytest.fixture
def edited(spark: SparkSession, tmp_path: Path) -> Edited:
    return Edited(spark, tmp_path)


def test_what_was_edited_away_is_named_and_not_selected_until_it_is_back(edited: Edited) -> None:
    before = edited.score(a=[KEPT, EDITED], b=[LEFT, KEPT])
    assert "no longer in the data" not in before
    assert not edited.store.exists("stale_occurrences")
    said = edited.score(a=[KEPT, MENDED], b=None)
    assert "2 examples of the pool are no longer in the data" in said
    assert edited.stale() == {"a.jsonl": 1, "b.jsonl": 1}
    assert edited.current() == [("a.jsonl", 1, "Graz."), ("a.jsonl", 2, MENDED[1])]
    assert edited.selected() == ["Graz.", MENDED[1]]
    assert edited.selected(current=False) == ["Graz.", "Linz.", MENDED[1], EDITED[1]]

    unchanged = edited.versions()
    assert "2 examples of the pool are no longer in the data" in edited.score()
    assert edited.versions() == unchanged

    edited.score(b=[LEFT, KEPT])
    assert edited.stale() == {"a.jsonl": 1}
    assert edited.selected() == ["Graz.", "Linz.", MENDED[1]]


def test_retiring_lists_what_left_its_source_and_then_drops_it(
    edited: Edited, capsys: pytest.CaptureFixture[str]
) -> None:
    edited.score(a=[KEPT, EDITED], b=[LEFT])
    edited.score(a=[KEPT], b=None)
    before = edited.versions()
    capsys.readouterr()
    maintain(edited.store.spark, edited.settings(dry_run=True, maintain={"retire": True}))
    listed = capsys.readouterr().out
    assert "2 occurrences stand in no source any more" in listed
    assert str(edited.data / "b.jsonl") in listed
    assert edited.versions() == before

    other = {"retire": True, "pool": "other"}
    maintain(edited.store.spark, edited.settings(maintain=other))
    assert "nothing to retire of pool other" in capsys.readouterr().out
    assert edited.store.read("occurrences").count() == 3

    maintain(edited.store.spark, edited.settings(maintain={"retire": True}))
    assert edited.store.read("occurrences").count() == 1
    assert edited.store.read("stale_occurrences").count() == 0
    assert edited.store.read("examples").count() == 3
    assert "no longer in the data" not in edited.score()
    assert edited.selected(current=False) == ["Graz."]


def test_a_line_put_in_front_makes_no_copies_of_those_that_moved(edited: Edited) -> None:
    edited.score(a=[KEPT, EDITED])
    edited.score(a=[LEFT, KEPT, EDITED, KEPT])
    copies = {row.example_id: row.copies for row in members(edited.store, "default").collect()}
    assert sorted(copies.values()) == [0, 0, 1]
    assert edited.stale() == {}
    assert [position for _, position, _ in edited.current()] == [1, 2, 3, 4]


def test_what_a_damaged_file_may_still_hold_counts_as_there(edited: Edited) -> None:
    many = [(f"Question {number}?", f"Answer {number * 7919}.") for number in range(3000)]
    path = edited.data / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines(many)))
    edited.score()
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])
    assert "damaged_file" in edited.score()
    assert edited.stale() == {}
    assert len(edited.current()) == 3000


def test_answers_that_are_marked_as_rejected_are_not_selected_unless_asked_for(
    edited: Edited,
) -> None:
    pair = {"prompt": "Hauptstadt Japans?", "chosen": "東京。", "rejected": "大阪。"}
    unwanted = {"prompt": "2 + 2?", "completion": "5.", "label": False}
    both = {"prompt": "Hauptstadt Japans?", "completion": "大阪。"}  # wanted by another file
    rows = "\n".join(json.dumps(row) for row in (pair, unwanted))
    (edited.data / "pairs.jsonl").write_text(rows)
    edited.score(a=[KEPT])
    assert edited.selected() == sorted(["Graz.", "東京。"])
    assert edited.selected(rejected=True) == sorted(["Graz.", "東京。", "大阪。", "5."])
    assert rejected_examples(edited.store, "default") == 2
    (edited.data / "wanted.jsonl").write_text(json.dumps(both))
    edited.score()
    assert edited.selected() == sorted(["Graz.", "東京。", "大阪。"])
    assert rejected_examples(edited.store, "default") == 1
