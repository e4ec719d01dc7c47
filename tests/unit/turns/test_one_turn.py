"""Turns that are more than a text: calls, reasoning, content blocks, marks of what is learnt."""

import pytest

from instructmining.layouts.detection import standardize
from instructmining.layouts.records import Unusable

IN_KYOTO = {"city": "京都"}
ASKED = {"role": "user", "content": "Do I need an umbrella in 京都?"}
SAID = {"role": "assistant", "content": "Yes."}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "京都"}}\n</tool_call>'


def conversation(*turns, **fields):
    [(_, found)] = standardize({"messages": [*turns], **fields})[1]
    return found


def texts(*turns):
    return [(each["role"], each["content"]) for each in conversation(*turns)]


@pytest.mark.parametrize(
    "turn",
    [
        {
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "京都"}'},
                }
            ]
        },
        {"content": "", "tool_calls": [{"name": "weather", "arguments": IN_KYOTO}]},
        {"content": None, "function_call": {"name": "weather", "arguments": {"city": "京都"}}},
        {"tool_calls": '[{"function": {"name": "weather", "arguments": {"city": "京都"}}}]'},
        {"content": [{"type": "tool_use", "id": "t", "name": "weather", "input": IN_KYOTO}]},
        {"parts": [{"functionCall": {"name": "weather", "args": IN_KYOTO}}]},
        {"Content": None, "Tool_Calls": [{"Function": {"Name": "weather", "Arguments": IN_KYOTO}}]},
        {"content": CALL},
    ],
    ids=["openai", "mistral", "one", "json text", "anthropic", "gemini", "case", "hermes"],
)
def test_a_call_is_the_same_text_whoever_wrote_it(turn):
    called = {"role": "assistant", **turn}
    result = {"role": "tool", "content": "rain"}
    assert texts(ASKED, called, result, SAID)[1] == ("assistant", CALL)


@pytest.mark.parametrize("speaker", ["function_call", "tool_call"])
@pytest.mark.parametrize(
    "value",
    [
        '{"name": "weather", "arguments": {"city": "京都"}}',
        '[{"name": "weather", "arguments": "{\\"city\\": \\"京都\\"}"}]',
    ],
)
def test_a_speaker_that_only_calls_says_the_call_as_json(speaker, value):
    said = [("human", "Rain?"), (speaker, value), ("observation", "4 mm"), ("gpt", "Yes.")]
    turns = [{"from": name, "value": text} for name, text in said]
    [(_, found)] = standardize({"conversations": turns})[1]
    assert [each["content"] for each in found] == ["Rain?", CALL, "4 mm", "Yes."]
    assert [each["role"] for each in found] == ["user", "assistant", "tool", "assistant"]


def test_calls_and_results_may_be_items_of_the_list():
    turns = [
        ASKED,
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Rain?"}]},
        {
            "type": "function_call",
            "call_id": "c",
            "name": "weather",
            "arguments": '{"city": "京都"}',
        },
        {"type": "function_call_output", "call_id": "c", "output": "4 mm"},
        {"type": "message", **SAID},
    ]
    assert texts(*turns)[1:] == [
        ("assistant", "<think>\nRain?\n</think>"),
        ("assistant", CALL),
        ("tool", "4 mm"),
        ("assistant", "Yes."),
    ]


def test_what_a_calling_speaker_says_beside_json_stays_as_it_is():
    turns = [{"from": "human", "value": "Rain?"}, {"from": "function_call", "value": "weather()"}]
    [(_, found)] = standardize({"conversations": turns})[1]
    assert found[1] == {"role": "assistant", "content": "weather()"}


def test_text_and_several_calls_stand_below_each_other():
    calls = [{"name": "a", "arguments": {}}, {"name": "b", "arguments": "no JSON"}]
    [_, (_, text)] = texts(ASKED, {"role": "assistant", "content": "I look.", "tool_calls": calls})
    assert text == (
        'I look.\n<tool_call>\n{"name": "a", "arguments": {}}\n</tool_call>\n'
        '<tool_call>\n{"name": "b", "arguments": "no JSON"}\n</tool_call>'
    )


def test_calls_that_name_no_function_are_named_in_the_reason():
    with pytest.raises(Unusable, match="'tool_calls' of turn 2 of 'messages' names no function"):
        conversation(ASKED, {"role": "assistant", "content": "", "tool_calls": [{"x": 1}]})


def test_an_empty_list_of_calls_is_none():
    assert conversation(ASKED, {**SAID, "tool_calls": [], "function_call": None})[1] == SAID


@pytest.mark.parametrize(
    "turn",
    [
        {"content": "51", "reasoning_content": "30 + 21"},
        {"content": "51", "reasoning": "30 + 21"},
        {"content": "51", "thinking": "30 + 21"},
        {"content": "51", "reasoning": "30 + 21", "reasoning_content": "30 + 21\n"},
        {
            "content": [
                {"type": "thinking", "thinking": "30 + 21", "signature": "x"},
                {"type": "text", "text": "51"},
            ]
        },
        {"content": [{"type": "reasoning", "summary": [{"text": "30 + 21"}]}, "51"]},
        {"parts": [{"text": "30 + 21", "thought": True}, {"text": "51"}]},
        {"content": "<think>\n30 + 21\n</think>\n\n51"},
        {"content": "<think>\n30 + 21\n</think>\n\n51", "reasoning_content": "30 + 21"},
    ],
)
def test_reasoning_is_part_of_the_response_in_one_form(turn):
    assert texts(ASKED, {"role": "assistant", **turn})[1][1] == "<think>\n30 + 21\n</think>\n\n51"


def test_blank_reasoning_is_none():
    assert conversation(ASKED, {**SAID, "reasoning_content": " \n"})[1] == SAID


def test_results_inside_a_turn_of_the_user_are_turns_of_tools():
    result = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": [{"type": "text", "text": "4"}],
    }
    also = {"type": "text", "text": "And tomorrow?"}
    found = conversation({"role": "user", "content": [result, also]}, SAID)
    assert found[0] == {"role": "tool", "content": "4", "chat": {"tool_call_id": "t1"}}
    assert found[1] == {"role": "user", "content": "And tomorrow?"}


def test_an_object_that_a_tool_returned_is_its_json():
    result = {"role": "tool", "content": {"mm": 4}}
    assert texts(ASKED, result, SAID)[1] == ("tool", '{"mm": 4}')


@pytest.mark.parametrize(
    ("block", "mark"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x/1.png"}}, "<image>"),
        ({"type": "image", "source": {"type": "base64", "data": "AAAA"}}, "<image>"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, "<audio>"),
        ({"video": "clips/1.mp4"}, "<video>"),
        ({"type": "file", "file": {"file_id": "f-1"}}, "<file>"),
    ],
)
def test_a_medium_leaves_its_place_in_the_text(block, mark):
    found = conversation({"role": "user", "content": [{"type": "text", "text": "看"}, block]}, SAID)
    assert found[0]["content"] == f"看\n{mark}"
    assert found[0]["chat"]["content"] == [{"type": "text", "text": "看"}, block]


@pytest.mark.parametrize("kind", ["redacted_thinking", "web_search_tool_result", "哲学"])
def test_a_block_that_is_not_read_is_named(kind):
    with pytest.raises(
        Unusable, match=f"turn 2 of 'messages' has a content block of type '{kind}'"
    ):
        conversation(ASKED, {"role": "assistant", "content": [{"type": kind, "data": "…"}]})


@pytest.mark.parametrize(
    "mark",
    [
        {"weight": 0},
        {"weight": 0.0},
        {"train": False},
        {"trainable": "false"},
        {"loss": False},
        {"loss_mask": 0},
        {"loss_mask": [0, 0]},
        {"mask": True},
        {"mask": 0},
        {"masked": 1},
        {"Weight": 0},
    ],
)
def test_a_turn_that_is_not_to_be_learnt_is_context_and_never_the_response(mark):
    wrong = {"role": "assistant", "content": "No.", **mark}
    sure = {"role": "user", "content": "Sure?"}
    assert [role for role, _ in texts(ASKED, wrong, sure, SAID)] == [
        "user",
        "assistant_context",
        "user",
        "assistant",
    ]
    found = conversation(ASKED, SAID, sure, wrong)
    assert [each["role"] for each in found] == ["user", "assistant"]
    assert [each["role"] for each in found[1]["after"]] == ["user", "assistant_context"]
    with pytest.raises(Unusable, match="every turn of the assistant is marked") as caught:
        conversation(ASKED, wrong)
    assert caught.value.reason == "nothing_to_learn"


@pytest.mark.parametrize(
    "mark",
    [
        {"weight": 1},
        {"weight": 0.5},
        {"train": True},
        {"loss": 0.43},
        {"loss_mask": 1},
        {"mask": False},
        {"mask": 1},
        {"masked": 0},
        {"weight": None},
        {"loss_mask": [0, 1]},
    ],
)
def test_other_marks_leave_a_turn_to_be_learnt(mark):
    assert texts(ASKED, {**SAID, **mark})[1] == ("assistant", "Yes.")


def test_marks_may_be_listed_beside_the_turns():
    wrong = {"role": "assistant", "content": "No."}
    found = conversation(ASKED, wrong, ASKED, SAID, loss_mask=[0, 0, 0, 1])
    roles = [each["role"] for each in found]
    assert roles == ["user", "assistant_context", "user", "assistant"]
    found = conversation(ASKED, SAID, loss_mask=[0, 1, 1])  # of tokens, perhaps
    assert found == [ASKED, SAID]


def test_a_blank_turn_that_is_not_learnt_costs_nothing():
    blank = {"role": "assistant", "content": "", "weight": 0}
    assert texts(ASKED, blank, ASKED, SAID)[3] == ("assistant", "Yes.")


def test_field_names_of_turns_are_compared_without_case():
    turns = [{"Role": "User", "Content": "q"}, {"ROLE": "Assistant", "CONTENT": "a"}]
    [(_, found)] = standardize({"Messages": turns})[1]
    assert found == [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize("name", ["reasoning_content", "Reasoning", "thinking"])
def test_reasoning_in_a_field_beside_the_response_is_part_of_it(name):
    [(_, found)] = standardize({"prompt": "17 × 3?", "completion": "51", name: "30 + 21"})[1]
    assert found[1]["content"] == "<think>\n30 + 21\n</think>\n\n51"
    [(_, found)] = standardize({"instruction": "17 × 3?", "output": "51", name: " "})[1]
    assert found[1] == {"role": "assistant", "content": "51"}


def test_turns_under_names_of_the_users_own_keep_calls_reasoning_and_marks():
    columns = {"turns": "talk", "role": "who", "content": "says"}
    call = {"name": "weather", "arguments": IN_KYOTO}
    talk = [
        {"who": "user", "says": "Rain in 京都?"},
        {"who": "assistant", "says": None, "tool_calls": [call]},
        {"who": "tool", "says": "4 mm"},
        {"who": "assistant", "says": "No.", "train": False},
        {"who": "assistant", "says": "Yes.", "reasoning": "4 mm is rain."},
    ]
    [(_, found)] = standardize({"talk": talk}, columns=columns)[1]
    assert [each["content"] for each in found[1:]] == [
        CALL,
        "4 mm",
        "No.",
        "<think>\n4 mm is rain.\n</think>\n\nYes.",
    ]
    assert found[3]["role"] == "assistant_context"
    with pytest.raises(Unusable, match="'says' is missing or null"):
        standardize({"talk": [{"who": "user", "says": None}]}, columns=columns)


def test_turns_of_a_list_under_another_name_may_be_nothing_but_calls():
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": {}}]}
    [(_, found)] = standardize({"trajectory": [ASKED, call, SAID]})[1]
    assert len(found) == 3
