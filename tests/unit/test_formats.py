"""One record in, one conversation or one reason out."""

import pytest

from instructmining.formats import FORMATS, Unusable, prompt_and_response, standardize

SINGLE = [{"role": "user", "content": "Add 2 and 3."}, {"role": "assistant", "content": "5"}]
SAME_RECORD = {
    "alpaca": {"instruction": "Add 2 and 3.", "input": "", "output": "5"},
    "dolly": {"instruction": "Add 2 and 3.", "context": "", "response": "5", "category": "math"},
    "sharegpt": {
        "conversations": [{"from": "human", "value": "Add 2 and 3."}, {"from": "gpt", "value": "5"}]
    },
    "messages": {"messages": SINGLE},
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_same_exchange_is_the_same_conversation_in_every_format(name: str) -> None:
    assert standardize(SAME_RECORD[name]) == (name, SINGLE)


def test_gpteacher_calls_the_answer_response() -> None:
    record = {"instruction": "Add 2 and 3.", "input": "", "response": "5"}
    assert standardize(record)[1] == SINGLE


def test_the_input_of_alpaca_is_part_of_the_prompt_after_a_blank_line() -> None:
    _, found = standardize({"instruction": "Sum it.", "input": "2, 3", "output": "5"})
    assert prompt_and_response(found) == ("Sum it.\n\n2, 3", "5")


def test_turns_after_the_last_answer_are_not_part_of_the_example() -> None:
    record = {"messages": [*SINGLE, {"role": "user", "content": "Thanks"}]}
    assert standardize(record)[1] == SINGLE


def test_the_prompt_of_a_longer_conversation_is_everything_before_the_last_answer() -> None:
    turns = [*SINGLE, {"role": "user", "content": "And 4?"}, {"role": "assistant", "content": "9"}]
    prompt, response = prompt_and_response(standardize({"messages": turns})[1])
    assert prompt == "Add 2 and 3.\n\n5\n\nAnd 4?"
    assert response == "9"


def test_own_column_names() -> None:
    columns = {"prompt": "q", "response": "a", "system": "s"}
    name, found = standardize({"q": "Add 2 and 3.", "a": "5", "s": "Be brief."}, columns=columns)
    assert name == "columns"
    assert found == [{"role": "system", "content": "Be brief."}, *SINGLE]


def test_text_parts_of_chat_apis_are_joined() -> None:
    parts = [{"type": "text", "text": "Add 2"}, {"type": "text", "text": "and 3."}]
    record = {"messages": [{"role": "user", "content": parts}, SINGLE[1]]}
    assert standardize(record)[1][0]["content"] == "Add 2\nand 3."


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([1, 2], "not_an_object"),
        ("text", "not_an_object"),
        ({"a": 1}, "unknown_format"),
        ({}, "unknown_format"),
        ({"instruction": "q"}, "missing_field"),
        ({"instruction": "q", "output": None}, "missing_field"),
        ({"instruction": "q", "output": 5}, "wrong_type"),
        ({"instruction": "q", "output": "  \n"}, "blank_response"),
        ({"instruction": " ", "output": "a"}, "blank_prompt"),
        ({"messages": [{"role": "user", "content": "q"}]}, "no_response"),
        ({"messages": []}, "no_response"),
        ({"messages": ["q"]}, "wrong_type"),
        ({"messages": [{"role": "narrator", "content": "q"}]}, "unknown_role"),
        ({"instruction": "q", "output": "\ud800"}, "invalid_unicode"),
    ],
)
def test_what_cannot_be_used_has_a_reason_and_a_sentence(record: object, reason: str) -> None:
    with pytest.raises(Unusable) as caught:
        standardize(record)
    assert caught.value.reason == reason
    assert caught.value.detail


def test_a_forced_format_accepts_no_other() -> None:
    with pytest.raises(Unusable, match="no known layout"):
        standardize(SAME_RECORD["messages"], "sharegpt")
