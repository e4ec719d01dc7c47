"""Messages of Open Assistant's trees that come one per row."""

import json

from parts import found_or_reason

from instructmining.layouts.detection import standardize
from instructmining.reading.trees import Row, joined


def message(identifier, parent, role, text, **more):
    return {
        "message_id": identifier,
        "parent_id": parent,
        "message_tree_id": "m1",
        "role": role,
        "text": text,
        **more,
    }


MESSAGES = [
    message("m3", "m1", "assistant", "Nein.", rank=1),
    message("m1", None, "prompter", "Warum 雨?", rank=None),
    message("m2", "m1", "assistant", "Clouds cool.", rank=0),
    message("m4", "m3", "prompter", "Why not?"),
    message("m5", "m4", "assistant", "Because."),
    message("m6", "m1", "assistant", "gone", deleted=True),
]


def rows(messages):
    return [
        Row("d/messages.jsonl", place, json.dumps(each, ensure_ascii=False))
        for place, each in enumerate(messages, start=1)
    ]


def test_the_messages_of_a_tree_are_one_record_whatever_their_order() -> None:
    for messages in (MESSAGES, MESSAGES[::-1]):
        [record] = joined(rows(messages))
        assert (record["reason"], record["records"]) == (None, 6)
        name, parts = standardize(json.loads(record["raw"]))
        assert name == "oasst"
        assert found_or_reason(parts) == {
            "m2": ["Warum 雨?", "Clouds cool."],
            "m5": ["Warum 雨?", "Nein.", "Why not?", "Because."],
        }


def test_a_message_without_its_parent_or_there_twice_is_a_record_with_a_reason() -> None:
    lost = message("m9", "m8", "assistant", "To whom?")
    circle = [message("a", "b", "prompter", "x"), message("b", "a", "assistant", "y")]
    records = joined(rows([*MESSAGES, lost, MESSAGES[0], *circle]))
    assert [(each["position"], each["reason"]) for each in records] == [
        (2, None),
        (7, "no_question"),
        (8, "duplicate_key"),
        (9, "no_question"),
        (10, "no_question"),
    ]
    assert json.loads(records[1]["raw"]) == lost
    assert sum(each["records"] for each in records) == 10
