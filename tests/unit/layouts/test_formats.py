"""One record in, one or more conversations or one reason out."""

import json

import pytest
from parts import MORE, SINGLE, SYSTEM, found_or_reason, only, reason

from instructmining.errors import UserError
from instructmining.layouts.detection import (
    FORMATS,
    Part,
    prompt_and_response,
    standardize,
)

SAME_RECORD = {
    "alpaca": {"instruction": "Add 2 and 3.", "input": "", "output": "5"},
    "dolly": {"instruction": "Add 2 and 3.", "context": "", "response": "5", "category": "math"},
    "sharegpt": {
        "conversations": [{"from": "human", "value": "Add 2 and 3."}, {"from": "gpt", "value": "5"}]
    },
    "messages": {"messages": SINGLE},
    "pairs": {"prompt": "Add 2 and 3.", "completion": "5"},
    "self_instruct": {"instruction": "Add 2 and 3.", "instances": [{"input": "", "output": "5"}]},
    "preference": {"prompt": "Add 2 and 3.", "chosen": "5", "rejected": "6"},
    "oasst": {
        "message_tree_id": "1",
        "prompt": {
            "message_id": "1",
            "role": "prompter",
            "text": "Add 2 and 3.",
            "replies": [{"message_id": "2", "role": "assistant", "text": "5"}],
        },
    },
    "completions": {
        "prompt": "Add 2 and 3.",
        "completions": [{"model": "a", "response": "5"}, {"model": "b", "response": "6"}],
    },
    "turns": {"dialogue": SINGLE},
    "transcript": {"text": "USER: Add 2 and 3. ASSISTANT: 5"},
    "mt_bench": {
        "question": {"question_id": 1, "turns": ["Add 2 and 3."]},
        "answer": {"question_id": 1, "choices": [{"index": 0, "turns": ["5"]}]},
    },
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_same_exchange_is_the_same_conversation_in_every_format(name: str) -> None:
    found, parts = standardize(SAME_RECORD[name])
    assert (found, parts[0].found) == (name, SINGLE)
    assert standardize(SAME_RECORD[name], name) == (found, parts)


def test_gpteacher_calls_the_answer_response() -> None:
    record = {"instruction": "Add 2 and 3.", "input": "", "response": "5"}
    assert standardize(record) == ("alpaca", [Part(None, SINGLE)])


def test_with_two_answers_the_one_of_the_layout_counts() -> None:
    record = {"instruction": "Add 2 and 3.", "output": "5", "response": "no"}
    assert standardize(record) == ("alpaca", [Part(None, SINGLE)])
    record = {"instruction": "Add 2 and 3.", "context": "", "output": "no", "response": "5"}
    assert standardize(record) == ("dolly", [Part(None, SINGLE)])


def test_the_input_of_alpaca_is_part_of_the_prompt_after_a_blank_line() -> None:
    found = only({"instruction": "Sum it.", "input": "2, 3", "output": "5"})
    assert prompt_and_response(found) == ("Sum it.\n\n2, 3", "5")


def test_turns_after_the_last_answer_are_not_part_of_the_example() -> None:
    assert only({"messages": [*SINGLE, {"role": "user", "content": "Thanks"}]}) == SINGLE


def test_the_prompt_of_a_longer_conversation_is_everything_before_the_last_answer() -> None:
    prompt, response = prompt_and_response(only({"messages": MORE}))
    assert prompt == "Add 2 and 3.\n\n5\n\nAnd 4?"
    assert response == "9"


def test_text_parts_of_chat_apis_are_joined() -> None:
    parts = [{"type": "text", "text": "Add 2"}, {"type": "text", "text": "and 3."}]
    record = {"messages": [{"role": "user", "content": parts}, SINGLE[1]]}
    assert only(record)[0]["content"] == "Add 2\nand 3."


@pytest.mark.parametrize("name", ["human", "User", " USER ", "prompter", "customer"])
@pytest.mark.parametrize("answering", ["gpt", "GPT-4", "bing", "ChatGPT", "Assistant", "model"])
def test_speakers_have_many_names(name: str, answering: str) -> None:
    turns = [{"from": name, "value": "Add 2 and 3."}, {"from": answering, "value": "5"}]
    assert only({"conversation": turns}) == SINGLE


@pytest.mark.parametrize("name", ["messages", "conversations", "conversation"])
def test_a_list_of_turns_may_name_its_fields_either_way_and_a_system_prompt_stands_first(name):
    either = [{"from": "human", "value": "Add 2 and 3."}, SINGLE[1]]
    assert only({name: either, "system": "Be brief."}) == [SYSTEM, *SINGLE]
    assert only({name: [SYSTEM, *either], "system": "Be brief."}) == [SYSTEM, *SINGLE]
    assert only({name: either, "system": " "}) == SINGLE
    assert only({name: [{**SYSTEM, "content": ""}, *either]}) == SINGLE


def test_earlier_exchanges_and_a_system_prompt_stand_before_the_instruction() -> None:
    record = {
        "instruction": "And 4?",
        "input": "",
        "output": "9",
        "system": "Be brief.",
        "history": [["Add 2 and 3.", "5"]],
    }
    assert only(record) == [SYSTEM, *MORE]
    assert only({**record, "history": [], "system": None}) == MORE[2:]
    for wrong in ("text", ["text"], [["one"]], [["one", 2]]):
        assert reason({**record, "history": wrong})[0] in {"wrong_type", "missing_field"}


@pytest.mark.parametrize(
    ("prompt", "response"),
    [
        ("prompt", "response"),
        ("question", "answer"),
        ("query", "response"),
        ("inputs", "targets"),
        ("input", "output"),
        ("source", "target"),
        ("human", "assistant"),
        ("user", "reply"),
        ("Question", "ANSWER"),
        ("problem", "solution"),
    ],
)
def test_a_pair_has_many_names(prompt: str, response: str) -> None:
    record = {prompt: "Add 2 and 3.", response: "5", "other": None}
    assert standardize(record) == ("pairs", [Part(None, SINGLE)])


def test_of_several_names_the_first_of_the_table_counts_and_exact_case_before_another() -> None:
    record = {
        "answer": "no",
        "question": "no",
        "response": "no",
        "completion": "5",
        "PROMPT": "no",
        "prompt": "Add 2 and 3.",
    }
    assert only(record) == SINGLE
    assert only({"completion": None, "response": "5", "prompt": "Add 2 and 3."}) == SINGLE


def test_what_a_question_is_about_joins_it_in_any_layout() -> None:
    whole = "Sum it.\n\n2, 3"
    for record in (
        {"question": "Sum it.", "context": "2, 3", "answer": "5"},
        {"prompt": "Sum it.", "input": "2, 3", "output": "5"},
        {"input": "Sum it.", "context": "2, 3", "output": "5"},
        {"instruction": "Sum it.", "input": "", "context": "2, 3", "output": "5"},
        {"instruction": "Sum it.", "question": "2, 3", "answer": "5"},
        {"instruction": "Sum it.", "input": "2, 3", "chosen": "5", "rejected": "6"},
    ):
        found = standardize(record)[1][0].found
        assert prompt_and_response(found) == (whole, "5"), record


def test_half_a_pair_names_what_was_looked_for() -> None:
    for record, words in (
        ({"prompt": "q", "id": 1}, "no response: none of completion, response, answer"),
        ({"answer": "a"}, "no prompt: none of instruction, prompt, question"),
        ({"prompt": "q", "answer": None}, "no response"),
    ):
        found, detail = reason(record)
        assert found == "missing_field"
        assert words in detail
        assert "'prompt'" in detail or "'answer'" in detail
    assert reason({"user": "bob", "text": "hello"})[0] == "unknown_format"


def test_fields_that_are_null_count_as_absent() -> None:
    whole_schema = dict.fromkeys(["messages", "instruction", "context", "chosen", "instances"])
    assert standardize({**whole_schema, **SAME_RECORD["pairs"]})[0] == "pairs"
    assert standardize({**SAME_RECORD["alpaca"], "context": None})[0] == "alpaca"
    assert standardize({**SAME_RECORD["dolly"], "context": None}) == ("dolly", [(None, SINGLE)])


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Add 2 and 3.", "chosen": "5", "rejected": "6"},
        {"instruction": "Add 2 and 3.", "input": "", "output": "7", "chosen": "5", "rejected": "6"},
        {
            "chosen": "\n\nHuman: Add 2 and 3.\n\nAssistant: 5",
            "rejected": "\n\nHuman: Add 2 and 3.\n\nAssistant: 6",
        },
        {
            "prompt": "Add 2 and 3.",
            "chosen": SINGLE,
            "messages": SINGLE,
            "rejected": [SINGLE[0], {"role": "assistant", "content": "6"}],
        },
        {"prompt": SINGLE[:1], "chosen": SINGLE[1:], "rejected": "6"},
        {
            "conversations": [{"from": "human", "value": "Add 2 and 3."}],
            "chosen": {"from": "gpt", "value": "5"},
            "rejected": {"from": "gpt", "value": "6"},
        },
    ],
)
def test_chosen_and_rejected_are_two_conversations(record) -> None:
    name, parts = standardize(record)
    assert name == "preference"
    assert found_or_reason(parts) == {
        "chosen": ["Add 2 and 3.", "5"],
        "rejected": ["Add 2 and 3.", "6"],
    }


def test_one_bad_answer_does_not_spoil_the_other() -> None:
    record = {"prompt": "q", "chosen": "a", "rejected": " "}
    assert found_or_reason(standardize(record)[1]) == {
        "chosen": ["q", "a"],
        "rejected": "blank_response",
    }


def test_chosen_beside_an_answer_may_be_a_score_or_a_flag() -> None:
    record = {**SAME_RECORD["pairs"], "chosen": 0.7, "rejected": 0.1}
    assert standardize(record) == ("pairs", [Part(None, SINGLE)])


def test_answers_without_a_prompt_say_what_is_missing() -> None:
    _, parts = standardize({"chosen": "a", "rejected": "b"})
    assert {part.found.reason for part in parts} == {"missing_field"}
    assert "no prompt" in parts[0].found.detail


def test_a_transcript_of_hh_is_cut_at_blank_lines_only() -> None:
    talk = "\n\nHuman: q\n\nAssistant: a\nHuman: b\n\n\nHuman: c\n\nAssistant: d\n\n"
    found = standardize({"chosen": talk, "rejected": "no transcript"})[1]
    assert found_or_reason(found) == {
        "chosen": ["q", "a\nHuman: b", "c", "d"],
        "rejected": "missing_field",
    }


def test_several_instances_are_numbered_parts() -> None:
    record = {
        "instruction": "Sum it.",
        "instances": [{"input": "2, 3", "output": "5"}, {"input": "", "output": ""}, "text"],
    }
    assert found_or_reason(standardize(record)[1]) == {
        "1": ["Sum it.\n\n2, 3", "5"],
        "2": "blank_response",
        "3": "wrong_type",
    }
    assert reason({**record, "instances": []})[0] == "no_response"
    assert reason({**record, "instances": [{"input": "x"}]})[0] == "missing_field"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ([1, 2], "not_an_object"),
        ("text", "not_an_object"),
        ({"a": 1}, "unknown_format"),
        ({}, "unknown_format"),
        ({"messages": "text"}, "unknown_format"),
        ({"instruction": "q"}, "missing_field"),
        ({"instruction": "q", "output": None}, "missing_field"),
        ({"instruction": "q", "output": {"a": 5}}, "wrong_type"),
        ({"instruction": "q", "output": [["a"]]}, "wrong_type"),
        ({"instruction": "q", "output": [{"type": "text", "text": 5}]}, "wrong_type"),
        ({"instruction": "q", "output": "a", "system": 5}, "wrong_type"),
        ({"instruction": "q", "output": "  \n"}, "blank_response"),
        ({"instruction": " ", "output": "a"}, "blank_prompt"),
        ({"messages": [{"role": "user", "content": "q"}]}, "no_response"),
        ({"messages": []}, "no_response"),
        ({"messages": ["q"]}, "wrong_type"),
        ({"messages": [{"role": "narrator", "content": "q"}]}, "unknown_role"),
        ({"messages": [{"role": ["user"], "content": "q"}]}, "unknown_role"),
        ({"messages": [{"content": "q"}]}, "unknown_role"),
        ({"instruction": "q", "output": "\ud800"}, "invalid_unicode"),
    ],
)
def test_what_cannot_be_used_has_a_reason_and_a_sentence(record: object, expected: str) -> None:
    assert reason(record)[0] == expected
    assert reason(record)[1]


def test_a_sentence_is_one_printable_line_whatever_the_record_holds() -> None:
    for record in (
        {"a\nb\u2028c\ud800\x00": 1, "d" * 5000: 2},
        {"messages": [{"role": "\nnarrator\ud800", "content": "q"}]},
        {"messages": [{"role": json.loads("[" * 900 + "]" * 900), "content": "q"}]},
    ):
        _, detail = reason(record)
        assert detail.isprintable()
        assert len(detail) <= 500


def test_a_forced_format_accepts_no_other() -> None:
    assert reason(SAME_RECORD["messages"], "sharegpt")[0] == "unknown_format"
    with pytest.raises(UserError, match=r"'alpacca'.*alpaca"):
        standardize(SAME_RECORD["alpaca"], "alpacca")
