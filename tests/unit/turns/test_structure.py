"""What belongs to an example beside its texts: ids, what is stored, and every way back."""

import json

import pytest

from instructmining.errors import UserError
from instructmining.layouts.standard_form import standard_rows
from instructmining.layouts.writing import LAYOUTS, record_of
from instructmining.turns.structure import media_of

READ = {"format": "auto", "columns": {}, "best_path": False, "id": None, "keep": ()}
TOOL = {"name": "weather", "parameters": {"type": "object"}}
OPENAI_TOOL = {"type": "function", "function": TOOL}
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Graz"}'},
}
ASKED = {"role": "user", "content": "Regen in Graz? 雨?"}
SAID = {"role": "assistant", "content": "Yes."}
FILE = {"type": "file", "file": {"file_id": "1"}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://x/1.png", "detail": "low"}}
RECORDS = {
    "tools": {"messages": [ASKED, SAID], "tools": [OPENAI_TOOL]},
    "calls": {
        "messages": [
            ASKED,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "rain", "tool_call_id": "c1", "name": "weather"},
            SAID,
        ],
        "tools": [OPENAI_TOOL],
    },
    "text and calls": {
        "messages": [ASKED, {"role": "assistant", "content": "I look.", "tool_calls": [CALL, CALL]}]
    },
    "reasoning": {"messages": [ASKED, {**SAID, "reasoning_content": "It rains."}]},
    "a mask": {"messages": [ASKED, {**SAID, "train": False}, ASKED, {**SAID, "train": True}]},
    "a mask at the end": {"messages": [ASKED, SAID, ASKED, {**SAID, "weight": 0}]},
    "a picture": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, PICTURE]}, SAID]
    },
    "a field of a picture": {"image": "a.jpg", "messages": [ASKED, SAID]},
    "a file": {
        "messages": [
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "1"}}]},
            SAID,
        ]
    },
}
# The layouts of one exchange hold what is no more than that; a file is only in chat messages.
ABLE = {
    "calls": {"messages", "sharegpt"},
    "a mask": {"messages", "sharegpt"},
    "a mask at the end": {"messages", "sharegpt"},
    "a file": {"messages"},
}


def row(record):
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    given = {"source": "s", "position": 1, "raw": raw, "reason": None, "detail": None, "records": 1}
    [found] = standard_rows(given, READ)
    return found


def exported(found, layout):
    messages = [{"role": m["role"], "content": m["content"]} for m in found["messages"]]
    structure = json.loads(found["structure"]) if found["structure"] else None
    return json.loads(json.dumps(record_of(messages, layout, structure)))


TALK = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "5 »né« 🌞\n"},
    {"from": "tool", "value": "7"},
    {"from": "gpt", "value": "7"},
]


# Printed by version 7387c9e, which read neither tools nor media.
@pytest.mark.parametrize(
    ("record", "identifier"),
    [
        (
            {
                "messages": [
                    {"role": "user", "content": "Name a fruit that is red."},
                    {"role": "assistant", "content": "A ripe cherry is red."},
                ]
            },
            "06ea4660a2884cbd312f16d5f223f34d",
        ),
        (
            {"instruction": "日本の首都は?", "input": "", "output": "東京"},
            "c0d02bf7b38daa7eb2a4e130fa502e39",
        ),
        ({"conversations": TALK}, "d6722a9b5b4d32394d9e226dc765a2d6"),
        ({"conversations": TALK, "tools": [], "image": None}, "d6722a9b5b4d32394d9e226dc765a2d6"),
    ],
)
def test_an_example_without_tools_and_media_keeps_its_id(record, identifier):
    found = row(record)
    assert (found["example_id"], found["structure"]) == (identifier, None)


def test_what_tells_examples_apart():
    plain = row({"messages": [ASKED, SAID]})["example_id"]
    others = [row(record)["example_id"] for record in RECORDS.values()]
    two = {"messages": [ASKED, SAID], "tools": [OPENAI_TOOL, {"name": "search"}]}
    pictures = [
        {"image": name, "messages": [ASKED, SAID]} for name in ("b.jpg", ["a.jpg", "b.jpg"])
    ]
    others += [row(two)["example_id"], *(row(each)["example_id"] for each in pictures)]
    assert len({plain, *others}) == 1 + len(others) - 1  # a mask at the end is after the response
    assert row(RECORDS["a mask at the end"])["example_id"] == plain


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [ASKED, SAID], "functions": [TOOL]},
        {"messages": [ASKED, SAID], "tools": json.dumps([TOOL])},
        {"messages": [{"role": "system", "content": "", "tools": [TOOL]}, ASKED, SAID]},
        {"instruction": ASKED["content"], "output": "Yes.", "Tools": TOOL},
        {"prompt": [ASKED], "completion": [SAID], "tools": [OPENAI_TOOL]},
    ],
)
def test_the_same_tools_are_the_same_example_however_they_are_written(record):
    assert row(record)["example_id"] == row(RECORDS["tools"])["example_id"]


def test_ids_of_calls_are_no_part_of_an_example():
    other = json.dumps(RECORDS["calls"]).replace("c1", "call_9f")
    assert row(other.encode())["example_id"] == row(RECORDS["calls"])["example_id"]


@pytest.mark.parametrize("tools", [[], "", "[]", None, {}])
def test_no_tools_are_none(tools):
    found = row({"messages": [ASKED, SAID], "tools": tools, "image": None, "images": []})
    assert (found["structure"], found["tools"], found["media"]) == (None, False, 0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", RECORDS)
def test_a_layout_gives_all_of_it_back_or_says_that_it_cannot(layout, name):
    found = row(RECORDS[name])
    if layout not in ABLE.get(name, LAYOUTS):
        with pytest.raises(UserError, match=f"the layout {layout} cannot hold a conversation of"):
            exported(found, layout)
        return
    again = row(exported(found, layout))
    assert again["example_id"] == found["example_id"]
    assert again["messages"][-1]["content"] == found["messages"][-1]["content"]
    assert (again["tools"], again["media"]) == (found["tools"], found["media"])


@pytest.mark.parametrize("name", [name for name in RECORDS if name != "a field of a picture"])
def test_messages_come_out_as_they_came(name):
    assert exported(row(RECORDS[name]), "messages") == RECORDS[name]


def test_sharegpt_has_calls_as_turns_and_tools_as_text():
    record = exported(row(RECORDS["calls"]), "sharegpt")
    assert record["conversations"][1] == {
        "from": "function_call",
        "value": '{"id": "c1", "name": "weather", "arguments": {"city": "Graz"}}',
    }
    assert record["conversations"][2]["from"] == "tool"
    assert json.loads(record["tools"]) == [OPENAI_TOOL]
    masked = exported(row(RECORDS["a mask"]), "sharegpt")["conversations"]
    assert [turn.get("train") for turn in masked] == [None, False, None, True]


def test_a_turn_that_is_not_learnt_is_written_with_a_weight_where_nothing_else_says_it():
    messages = [ASKED, {"role": "assistant_context", "content": "No."}, ASKED, SAID]
    assert record_of(messages, "messages")["messages"][1] == {
        "role": "assistant",
        "content": "No.",
        "weight": 0,
    }


def test_media_are_what_they_refer_to_by_kind():
    found = row(RECORDS["a picture"])
    assert media_of(json.loads(found["structure"])) == {"image": ["https://x/1.png"]}
    bytes_and_path = {"image": {"path": None, "bytes": "iVBO"}, "audios": ["1.wav", "2.wav"]}
    found = row({"messages": [ASKED, SAID], **bytes_and_path})
    assert media_of(json.loads(found["structure"])) == {
        "image": ["iVBO"],
        "audio": ["1.wav", "2.wav"],
    }
    assert found["media"] == 3


def test_half_a_surrogate_pair_in_an_argument_is_stored_as_an_escape():
    record = {"messages": [ASKED, SAID], "tools": [{"name": "\ud800"}]}
    assert "\\ud800" in row(record)["structure"]


def test_a_pair_of_answers_keeps_the_tools_in_its_records():
    record = {"prompt": "q", "chosen": "a", "rejected": "b", "tools": [TOOL]}
    given = {
        "source": "s",
        "position": 1,
        "raw": json.dumps(record).encode(),
        "reason": None,
        "detail": None,
        "records": 1,
    }
    rows = standard_rows(given, READ)
    assert [json.loads(each["raw"])["tools"] for each in rows] == [[TOOL], [TOOL]]
    assert row(rows[0]["raw"].encode())["example_id"] == rows[0]["example_id"]
