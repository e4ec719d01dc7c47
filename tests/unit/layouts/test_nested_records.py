"""The path to records in a record: given only where a layout reads what it leads to."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from instructmining.layouts.detection import is_readable
from instructmining.layouts.field_names import path_to_records
from instructmining.reading.inputs import Input
from instructmining.reading.nested_files import command_for
from instructmining.reading.sniffing import Kind

ALPACA = {"instruction": "Name a red fruit.", "input": "", "output": "A cherry is red."}
CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "因为"}]}
ASKED = [{"role": "user", "content": "How do I dry basil?"}]
FEATURES = [{"feature_idx": 0, "name": "instruction", "type": {"dtype": "string"}}]


@pytest.mark.parametrize(
    ("record", "path"),
    [
        ({"version": "1", "data": [ALPACA]}, ".data[]"),
        ({"features": FEATURES, "rows": [{"row_idx": 0, "row": ALPACA}]}, ".rows[].row"),
        ({"a": {"b c": [CHAT]}}, '.a["b c"][]'),
        ({"答え": [[CHAT, CHAT]]}, '.["答え"][][]'),
        ([ALPACA], ".[]"),
        ([[{"record": CHAT}]], ".[][].record"),
        ({"pages": [{"items": [ALPACA]}]}, ".pages[].items[]"),
        ({"data": [{"meta": 1}], "train": [ALPACA]}, ".train[]"),
        # A preference pair: what it lists are turns, not records.
        ({"input": {"messages": ASKED}, "preferred_output": [CHAT["messages"][1]]}, None),
        ({"conversation_a": CHAT["messages"], "winner": "a"}, None),
        ({"data": ALPACA}, None),
        ({"data": []}, None),
        ({"data": ["text", None]}, None),
        ({"data": [{"instruction": "", "output": None}]}, None),
        ({"a": {"b": {"c": {"d": {"e": [ALPACA]}}}}}, None),
        ("text", None),
        (None, None),
    ],
)
def test_records_are_found_where_a_layout_reads_them(record: Any, path: str | None) -> None:
    assert path_to_records(record, is_readable) == path


@pytest.mark.parametrize(
    "record", [{"a b": [[ALPACA], [CHAT]]}, {"rows": [{"row": ALPACA}, {"row": CHAT}]}]
)
def test_jq_finds_with_the_path_what_the_hint_promises(record: Any) -> None:
    path = path_to_records(record, is_readable)
    assert path is not None
    try:
        done = subprocess.run(
            ["jq", "-c", path], input=json.dumps(record), capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("jq is not installed")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [ALPACA, CHAT]


def test_a_record_of_very_many_fields_is_given_up() -> None:
    wide = {f"field {number}": {"x": number} for number in range(100_000)}
    assert path_to_records({**wide, "data": [ALPACA]}, is_readable) is None


@pytest.mark.parametrize(
    "records",
    [
        [{"qa list": [ALPACA, CHAT]}],
        [{"a": {"b c": [ALPACA]}}, {"a": {"b c": [CHAT]}}],
        [[ALPACA], [CHAT]],
        [{"rows": [{"row": ALPACA}, {"row": CHAT}]}],
    ],
)
def test_the_command_takes_the_records_out_of_every_element_of_an_array(
    records: list[Any], tmp_path: Path
) -> None:
    given = tmp_path / "it's a page.json"
    given.write_text(json.dumps(records), encoding="utf-8")
    path = path_to_records(records[0], is_readable)
    assert path is not None
    command = command_for(Input(str(given), Kind("array")), path).split("`")[1]
    done = subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=False)
    if done.returncode == 127:
        pytest.skip("jq is not installed")
    made = (tmp_path / "it's a page.records.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in made.splitlines()] == [ALPACA, CHAT]
