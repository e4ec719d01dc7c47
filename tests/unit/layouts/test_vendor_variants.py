"""The same conversation as other vendors and tools write it, and what only looks like a record."""

import json

import pytest
from parts import only, reason

from instructmining.layouts.detection import standardize
from instructmining.layouts.standard_form import standard_rows
from instructmining.layouts.writing import record_of
from instructmining.settings.sections import Read

SAID = {"role": "assistant", "content": "Sauer."}
ASKED = {"role": "user", "content": "Wie ist 桜?"}
SYSTEM = {"role": "system", "content": "Sei kurz."}
EARLIER = [{"role": "user", "content": "Hallo?"}, {"role": "assistant", "content": "Ja."}]
ANSWER = "Sauer."


def parts(text: str) -> list[dict[str, str]]:
    return [{"text": text}]


VARIANTS = {
    "Gemini": {
        "systemInstruction": {"role": "system", "parts": parts("Sei kurz.")},
        "contents": [
            {"role": "user", "parts": parts("Wie ist 桜?")},
            {"role": "model", "parts": parts(ANSWER)},
        ],
    },
    "Bedrock": {
        "schemaVersion": "bedrock-conversation-2024",
        "system": parts("Sei kurz."),
        "messages": [
            {"role": "user", "content": parts("Wie ist 桜?")},
            {"role": "assistant", "content": parts(ANSWER)},
        ],
    },
    "Anthropic": {
        "system": [{"type": "text", "text": "Sei kurz."}],
        "messages": [{"role": "user", "content": "Wie ist 桜?"}, SAID],
    },
    "Cohere": {
        "messages": [
            {"role": "System", "message": "Sei kurz."},
            {"role": "User", "message": "Wie ist 桜?"},
            {"role": "Chatbot", "message": ANSWER},
        ]
    },
    "an export of chats": {
        "system_prompt": "Sei kurz.",
        "chat_messages": [
            {"sender": "human", "text": "Wie ist 桜?"},
            {"sender": "assistant", "text": ANSWER},
        ],
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_vendors_write_the_same_conversation(name: str) -> None:
    assert only(VARIANTS[name]) == [SYSTEM, ASKED, SAID]


@pytest.mark.parametrize("field", ["history", "chat_history", "conversation_history"])
def test_earlier_exchanges_are_pairs_or_turns(field: str) -> None:
    for earlier in (
        EARLIER,
        json.dumps(EARLIER),
        [["Hallo?", "Ja."]],
        [{"role": "USER", "message": "Hallo?"}, {"role": "CHATBOT", "message": "Ja."}],
    ):
        record = {field: earlier, "message": "Wie ist 桜?", "response": ANSWER}
        assert only(record) == [*EARLIER, ASKED, SAID]


def test_numbers_of_tokens_do_not_hide_the_text_that_they_stand_for() -> None:
    record = {
        "inputs": [117, 4],
        "inputs_pretokenized": "Wie ist 桜?",
        "targets": [9, 1],
        "targets_pretokenized": ANSWER,
    }
    assert only(record) == [ASKED, SAID]


def test_content_blocks_may_be_the_prompt_and_what_joins_it_is_exported_too() -> None:
    blocks = [
        {"type": "text", "text": "Was ist das?"},
        {"type": "image_url", "image_url": {"url": "https://a.test/桜.png"}},
    ]
    for prompt in (blocks, [{"role": "user", "content": blocks}]):
        record = {"prompt": prompt, "context": "Im April.", "options": ["rot", "weiß"]}
        found = only({**record, "response": ANSWER})
        joined = "Im April.\n\nA) rot\nB) weiß"
        assert found[0]["content"] == f"Was ist das?\n<image>\n\n{joined}"
        turns = {"0": found[0]["chat"]}
        [asked, _] = record_of(found, "messages", {"turns": turns})["messages"]
        assert asked["content"][:2] == blocks
        assert "\n\n".join(block["text"] for block in asked["content"][2:]) == joined


@pytest.mark.parametrize(
    ("verdict", "label"),
    [
        ({"label": 0}, "rejected"),
        ({"label": 0.0}, "rejected"),
        ({"label": "False"}, "rejected"),
        ({"label": 1}, None),
        ({"label": True}, None),
        ({"kto_tag": 0, "topic": "Obst"}, "rejected"),
        ({"kto_tag": "0"}, "rejected"),
        ({"label": 0, "topic": "Obst"}, None),  # a class, for all that can be seen
    ],
)
def test_a_verdict_may_be_a_number_where_it_can_be_nothing_else(verdict, label) -> None:
    record = {"prompt": "Wie ist 桜?", "completion": ANSWER, **verdict}
    [part] = standardize(record)[1]
    assert part.label == label


TABLES = [
    {"instruction": ["q", "r"], "input": ["", ""], "output": ["a", "b"]},
    {"prompt": {"0": "q", "1": "r"}, "response": {"0": "a", "1": "b"}},
    {"columns": ["prompt", "response"], "index": [0, 1], "data": [["q", "a"], ["r", "b"]]},
    {"prompt": ["q", "r"], "chosen": ["a", "b"], "rejected": ["x", "y"]},
]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_in_one_object_is_no_record(table) -> None:
    why, sentence = reason(table)
    assert why == "wrong_type"
    assert "a whole table in one object; write a row on each line" in sentence


def test_lists_of_one_record_are_no_table() -> None:
    several = {"definition": ["Translate."], "input": "Kirsche", "output": ["cherry", "桜"]}
    assert only(several)[-1]["content"] == "cherry\n桜"
    options = {"question": "q", "choices": ["x", "y"], "answers": ["x", "y"]}
    assert only(options)[-1]["content"] == "x\ny"


def test_a_turn_that_names_no_speaker_is_refused_with_its_fields() -> None:
    record = {"messages": [{"who": 1, "said": "Hallo?"}]}
    assert reason(record)[1] == "turn 1 of 'messages' names no speaker; it has 'who', 'said'"


TEMPLATES = {
    "Llama 3": (
        "<|begin_of_text|><|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>",
        "<|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>",
        "assistant",
    ),
    "Gemma": (
        "<bos><start_of_turn>{}\n{}<end_of_turn>\n",
        "<start_of_turn>{}\n{}<end_of_turn>\n",
        "model",
    ),
    "Zephyr": ("<|{}|>\n{}</s>\n", "<|{}|>\n{}</s>\n", "assistant"),
    "Phi-3": ("<|{}|>\n{}<|end|>\n", "<|{}|>\n{}<|end|>\n", "assistant"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_text_in_a_chat_template_is_a_conversation(name: str) -> None:
    opening, other, model = TEMPLATES[name]
    turns = [("user", "Hallo?"), (model, "Ja."), ("user", "Wie ist 桜?"), (model, ANSWER)]
    written = [opening.format(*turns[0]), *(other.format(*turn) for turn in turns[1:])]
    record = {"text": "".join(written)}
    assert only(record) == [*EARLIER, ASKED, SAID]
    assert unread(record) == {}
    asked, _, _ = "".join(written).rpartition(ANSWER)
    assert only({"prompt": asked, "response": ANSWER}) == [*EARLIER, ASKED, SAID]


def unread(record) -> dict[str, str]:
    raw = {"raw": json.dumps(record).encode(), "reason": None, "detail": None}
    place = {"source": "a", "position": 1, "records": 1}
    [row] = standard_rows({**place, **raw}, Read().model_dump())
    return dict(row["unread"])


def test_marks_on_parts_of_a_turn_are_named_as_not_read() -> None:
    detail = [{"begin_offset": 0, "end_offset": 2, "train": False}]
    found = unread({"messages": [ASKED, {**SAID, "train_detail": detail}]})
    assert list(found) == ["messages[].train_detail"]
    assert list(unread({"messages": [ASKED, {**SAID, "loss_mask": [0, 1, 1]}]})) == [
        "messages[].loss_mask"
    ]
    assert unread({"messages": [ASKED, {**SAID, "loss_mask": [1, 1, 1]}]}) == {}


def test_letters_of_options_are_read() -> None:
    choices = {"text": ["rot", "weiß"], "label": ["A", "B"]}
    assert unread({"question": "Wie?", "choices": choices, "answerKey": "B"}) == {}
