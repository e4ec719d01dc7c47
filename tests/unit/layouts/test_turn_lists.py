"""The same turns, however a field lists them."""

import json

import pytest
from parts import MORE, SINGLE, SYSTEM, found_or_reason, only, reason

from instructmining.layouts.detection import Unusable, standardize

PAIRS = [["Add 2 and 3.", "5"], ["And 4?", "9"]]
TEXTS = ["Add 2 and 3.", "5", "And 4?", "9"]
SPOKEN = [{"from": "human" if i % 2 == 0 else "gpt", "value": t} for i, t in enumerate(TEXTS)]
LISTED = [
    MORE,
    json.dumps(MORE),
    repr(MORE),  # as pandas writes a list into a CSV file
    f" {json.dumps(SPOKEN)}\n",
    {"role": ["user", "assistant"] * 2, "content": TEXTS},
    {"from": ["human", "gpt"] * 2, "value": TEXTS},
    [MORE],
    PAIRS,
    TEXTS,
    [json.dumps(turn) for turn in MORE],
    [["user", TEXTS[0]], ["assistant", "5"], ["Human", TEXTS[2]], ["gpt", "9"]],
    [{"Role": turn["role"].title(), "Content": turn["content"]} for turn in MORE],
    [{"FROM": turn["from"], "Value": turn["value"], "from": None} for turn in SPOKEN],
    [{"speaker": turn["role"], "utterance": turn["content"]} for turn in MORE],
    *(
        [{asked: question, said: answer} for question, answer in PAIRS]
        for asked, said in (
            ("input", "output"),
            ("human", "assistant"),
            ("user", "assistant"),
            ("Question", "ANSWER"),
            ("prompt", "response"),
            ("instruction", "output"),
            ("user", "bot"),
        )
    ),
    [{turn["role"]: turn["content"]} for turn in MORE],
    [{turn["from"]: turn["value"]} for turn in SPOKEN],
]


@pytest.mark.parametrize("name", ["messages", "conversations", "Conversation"])
@pytest.mark.parametrize("listed", LISTED, ids=lambda value: str(value)[:50])
def test_turns_are_read_in_whatever_form_they_are_listed(name: str, listed: object) -> None:
    assert only({name: listed, "source": "web"}) == MORE
    assert only({name: listed, "system": "Be brief.", "instruction": None}) == [SYSTEM, *MORE]


@pytest.mark.parametrize("name", ["dialogue", "Dialog", "chat", "data", "talk"])
def test_turns_under_another_name_are_read_where_nothing_else_is_an_exchange(name: str) -> None:
    for listed in (MORE, SPOKEN, PAIRS, TEXTS):
        assert standardize({name: listed, "id": 1}) == ("turns", [(None, MORE)])
    pair = {"instruction": "Add 2 and 3.", "output": "5", name: TEXTS}
    assert only(pair) == SINGLE
    assert standardize({"any name": SPOKEN, "numbers": [1, 2]}) == ("turns", [(None, MORE)])


@pytest.mark.parametrize("record", [MORE, SPOKEN, PAIRS, TEXTS])
def test_a_record_may_be_the_bare_list(record: list) -> None:
    assert standardize(record) == ("messages", [(None, MORE)])
    assert standardize(json.loads(json.dumps(record)))[1] == [(None, MORE)]


@pytest.mark.parametrize(
    "record",
    [
        [],
        [1, 2],
        ["q"],
        ["a", "b", "c"],
        [None],
        [[]],
        [["a"]],
        [{"instruction": "q", "output": "a"}] * 2,
    ],
)
def test_a_bare_list_of_anything_else_is_no_record(record: list) -> None:
    assert reason(record)[0] == "not_an_object"


def test_the_system_prompt_of_a_turn_goes_before_it_once() -> None:
    listed = [
        {"system": "Be brief.", "input": "Add 2 and 3.", "output": "5"},
        {"system": "Be brief.", "input": "And 4?", "output": "9"},
    ]
    assert only({"conversation": listed}) == [SYSTEM, *MORE]
    listed[1]["system"] = ""
    assert only({"conversation": listed}) == [SYSTEM, *MORE]


def test_a_turn_of_a_chat_log_is_not_taken_for_question_and_answer() -> None:
    for turn in ({"user": "bob", "text": "hello"}, {"model": "x", "score": 1}, {"user": None}):
        found, detail = reason({"messages": [turn, turn]})
        assert found == "unknown_role"
        assert "turn 1 of 'messages'" in detail


def test_text_that_is_no_list_stays_what_it_was() -> None:
    assert reason({"messages": "[not json", "id": 1})[0] == "unknown_format"
    assert only({"prompt": "Add 2 and 3.", "response": "5", "messages": "none"}) == SINGLE
    for text in ('{"a": 1}', "[1, 2]", '[{"b": 1}]', "[link](x)"):
        assert only({"prompt": "q", "response": text})[1]["content"] == text


def test_messages_of_a_cell_of_text_may_be_prompt_and_answers() -> None:
    asked, said, other = SINGLE[:1], SINGLE[1:], [{"role": "assistant", "content": "6"}]
    record = {"prompt": json.dumps(asked), "completion": json.dumps(said)}
    assert only(record) == SINGLE
    record = {"chosen": json.dumps(SINGLE), "rejected": json.dumps([*asked, *other])}
    assert found_or_reason(standardize(record)[1]) == {
        "chosen": ["Add 2 and 3.", "5"],
        "rejected": ["Add 2 and 3.", "6"],
    }


def test_an_answer_beside_the_messages_that_ask_ends_the_conversation() -> None:
    for name in ("response", "output", "answer"):
        assert only({"messages": MORE[:3], name: "9"}) == MORE
        assert only({"conversations": SPOKEN[:3], name: "9", "system": ""}) == MORE
    assert only({"messages": SINGLE, "response": "no"}) == SINGLE


def test_of_two_conversations_none_is_taken_for_the_one_that_is_wanted() -> None:
    record = {"conversation_a": MORE, "conversation_b": SINGLE, "winner": "model_a"}
    assert reason(record)[0] == "unknown_format"


WANTED = {"chosen": ["Add 2 and 3.", "5"], "rejected": ["Add 2 and 3.", "6"]}
OTHER = {"role": "assistant", "content": "6"}


@pytest.mark.parametrize(
    "record",
    [
        {
            "input": {"messages": SINGLE[:1], "tools": []},
            "preferred_output": SINGLE[1:],
            "non_preferred_output": [OTHER],
        },
        {
            "input": {"Messages": SINGLE[:1]},
            "Preferred_Output": SINGLE[1:],
            "non_preferred_output": [OTHER],
        },
        {"messages": SINGLE[:1], "chosen": "5", "rejected": "6"},
        {"messages": SINGLE, "chosen": "5", "rejected": "6", "source": "web"},
        {"messages": SINGLE, "rejected_response": "6"},
        {"conversations": SPOKEN[:2], "chosen": SINGLE[1], "rejected": OTHER},
        {"question": "Add 2 and 3.", "chosen_response": "5", "rejected_response": "6"},
        {"prompt": "\n\nHuman: Add 2 and 3.\n\nAssistant:", "chosen": "5", "rejected": "6"},
        {
            "source": "web",
            "chosen": "\n\nHuman: Add 2 and 3.\n\nAssistant: 5",
            "rejected": "\n\nHuman: Add 2 and 3.\n\nAssistant: 6",
        },
    ],
)
def test_two_answers_are_found_under_their_names_beside_the_messages(record: dict) -> None:
    name, parts = standardize(record)
    assert (name, found_or_reason(parts)) == ("preference", WANTED)


@pytest.mark.parametrize("verdict", [{"label": False}, {"kto_tag": False}, {"Label": "False"}])
@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Add 2 and 3.", "completion": "5"},
        {"instruction": "Add 2 and 3.", "output": "5"},
        {"messages": SINGLE},
        {"prompt": SINGLE[:1], "completion": SINGLE[1:]},
    ],
)
def test_an_answer_that_is_not_wanted_is_labelled_as_rejected(record: dict, verdict: dict) -> None:
    assert standardize({**record, **verdict})[1] == [("rejected", SINGLE)]
    [name] = verdict
    for other in (True, "true", None, "spam", 1):
        assert standardize({**record, name: other})[1] == [(None, SINGLE)]


def test_completions_of_several_models_are_a_row_each() -> None:
    record = {
        "instruction": "Add 2 and 3.",
        "completions": [
            {"model": "a", "response": "5", "overall_score": 9.0},
            {"model": "b", "response": " "},
        ],
    }
    name, parts = standardize(record)
    assert name == "completions"
    assert found_or_reason(parts) == {"a": ["Add 2 and 3.", "5"], "b": "blank_response"}
    record["completions"][1]["model"] = "a"
    assert [label for label, _ in standardize(record)[1]] == ["1", "2"]
    with pytest.raises(Unusable):  # steps of one answer, not answers
        standardize({"prompt": "q", "completions": ["step 1", "step 2"], "labels": [True, False]})
