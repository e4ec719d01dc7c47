"""Records of any layout, read by the names that the user gives."""

import pytest
from parts import MORE, SINGLE, SYSTEM, only, reason

from instructmining.errors import UserError
from instructmining.layouts.detection import Part, standardize


def test_own_column_names() -> None:
    columns = {"prompt": "q", "response": "a", "system": "s"}
    name, parts = standardize({"q": "Add 2 and 3.", "a": "5", "s": "Be brief."}, columns=columns)
    assert (name, parts) == ("columns", [Part(None, [SYSTEM, *SINGLE])])
    assert only({"q": "Add 2 and 3.", "a": "5"}, columns=columns) == SINGLE
    found, detail = reason({"query": "x", "a": "5"}, columns=columns)
    assert (found, "'q'" in detail, "'query', 'a'" in detail) == ("missing_field", True, True)


def test_own_columns_are_dotted_paths_where_no_field_has_the_name() -> None:
    record = {"data": [{"q.x": "Add 2 and 3.", "y": {"a": "5"}}], "data.0.y.b": "6"}
    assert (
        only({"q.x": "Add 2 and 3.", **record}, columns={"prompt": "q.x", "response": "data.0.y.a"})
        == SINGLE
    )
    literal = {"prompt": "data.0.y.a", "response": "data.0.y.b"}
    assert only(record, columns=literal)[-1]["content"] == "6"
    for path in ("data.1.y.a", "data.x", "data.0.y.a.b", "none"):
        assert reason(record, columns={**literal, "prompt": path})[0] == "missing_field"


def test_own_dialogues_with_the_vendors_names_of_speakers() -> None:
    columns = {
        "turns": "dialogue.turns",
        "role": "speaker",
        "content": "said.text",
        "user": "USER",
        "assistant": "SYSTEM",
    }
    turns = [
        {"speaker": "USER", "said": {"text": "Add 2 and 3."}},
        {"speaker": "SYSTEM", "said": {"text": "5"}},
    ]
    assert only({"dialogue": {"turns": turns}}, columns=columns) == SINGLE
    for wrong, expected in (
        ("text", "wrong_type"),
        ([*turns, "text"], "wrong_type"),
        ([{**turns[0], "speaker": "CROWD"}], "unknown_role"),
        ([{"speaker": "USER"}], "missing_field"),
        (None, "missing_field"),
    ):
        assert reason({"dialogue": {"turns": wrong}}, columns=columns)[0] == expected


def test_own_transcripts() -> None:
    columns = {"transcript": "talk", "user": "User 1", "assistant": "User 2"}
    talk = "* * *\nUser 1: Add 2 and 3.\n\nUser 2 : 5\r\nUser 1:And 4?\nUser 2: 9\nUser 1: Bye"
    assert only({"talk": talk}, columns=columns) == MORE
    assert only({"talk": "User 1: Add 2 and 3.\nUser 2: 5"}, columns=columns) == SINGLE
    for wrong, expected in (
        ("Hello there", "unknown_role"),
        ("Hello\nUser 1: a\nUser 2: b", "unknown_role"),
        (["User 1: a"], "wrong_type"),
        ("User 1: a", "no_response"),
        ("User 1: a\nUser 2:", "blank_response"),
    ):
        assert reason({"talk": wrong}, columns=columns)[0] == expected


@pytest.mark.parametrize(
    "columns",
    [
        {"prompt": "q"},
        {"response": "a"},
        {"turns": "t", "role": "r"},
        {"transcript": "t"},
        {"prompt": "q", "response": "a", "imput": "i"},
        {"prompt": "q", "response": "a", "user": "u"},
    ],
)
def test_columns_that_are_no_conversation_are_a_mistake_of_the_users(columns) -> None:
    with pytest.raises(UserError, match=r"columns must name .*(missing|not among)"):
        standardize({"q": "q", "a": "a"}, columns=columns)
