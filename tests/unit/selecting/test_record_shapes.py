"""Which records a trainer can read from one file."""

import json
from pathlib import Path

import pytest

from instructmining.selecting.export_target import exported_files, of_layout
from instructmining.selecting.record_shapes import shape_of, short_names

TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("layout", "record", "shape"),
    [
        (
            "alpaca",
            {"id": "1", "instruction": "q", "input": "", "output": "a"},
            "alpaca (instruction, output)",
        ),
        ("alpaca", {"instruction": "q", "response": "a"}, "alpaca (instruction, response)"),
        ("pairs", {"Question": "q", "Answer": "a", "topic": "x"}, "pairs (Question, Answer)"),
        (
            "pairs",
            {"prompt": TURNS[:1], "completion": TURNS[1:]},
            "pairs (prompt: role, content, completion: role, content)",
        ),
        ("messages", {"messages": TURNS, "source": "x"}, "messages (messages: role, content)"),
        ("preference", {"messages": TURNS}, "messages (messages: role, content)"),
        (
            "sharegpt",
            {"conversations": [{"from": "human", "value": "q", "weight": 1}]},
            "sharegpt (conversations: from, value)",
        ),
        ("mt_bench", {"question": {"turns": ["q"]}, "answer": {"choices": []}}, "mt_bench"),
    ],
)
def test_a_shape_is_the_layout_with_the_fields_that_hold_the_text(layout, record, shape):
    assert shape_of(layout, json.dumps(record), "q", "a") == shape


def test_a_blank_input_is_the_same_shape_as_a_full_one():
    full = json.dumps({"instruction": "Sum up.", "input": "日本語", "output": "a"})
    blank = json.dumps({"instruction": "Sum up.", "input": None, "output": "a"})
    assert shape_of("alpaca", full, "Sum up.\n\n日本語", "a") == shape_of(
        "alpaca", blank, "Sum up.", "a"
    )


def test_a_number_that_python_does_not_convert_costs_only_the_fields():
    assert shape_of("alpaca", '{"instruction": "q", "n": ' + "9" * 5000 + "}", "q", "a") == "alpaca"


def test_files_are_named_by_layout_and_by_fields_where_two_have_the_same_layout():
    shapes = ["alpaca (instruction, output)", "pairs (question, answer)", "pairs (质问, 回答)"]
    assert list(short_names(shapes).values()) == [
        "alpaca",
        "pairs-question-answer",
        "pairs-质问-回答",
    ]


def test_the_file_of_a_layout_keeps_the_ending_and_is_found_again(tmp_path: Path):
    path = tmp_path / "best[1].v2.jsonl.gz"
    assert of_layout(path, "alpaca").name == "best[1].v2.alpaca.jsonl.gz"
    assert exported_files(path) == []
    (tmp_path / "best[1].v2.md").write_text("a card")
    of_layout(path, "alpaca").write_text("")
    assert exported_files(path) == [of_layout(path, "alpaca")]
