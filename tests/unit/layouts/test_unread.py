"""Every text of a record is in the example, or its field is named as not read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructmining.layouts.standard_form import standard_rows
from instructmining.layouts.unread import texts
from instructmining.settings.sections import Read

SINGLE = [{"role": "user", "content": "Why 雨?"}, {"role": "assistant", "content": "Clouds cool."}]
SHAREGPT = [{"from": "human", "value": "Why 雨?"}, {"from": "gpt", "value": "Clouds cool."}]
TALK = "USER: Why 雨?\n\n\nASSISTANT: Clouds cool. <|endoftext|>"
# A record of every layout, nothing in which may be named.
READ = {
    "preference": {"prompt": "q1", "chosen": "a1", "rejected": "b1"},
    "openai": {
        "input": {"messages": SINGLE[:1], "tools": []},
        "preferred_output": SINGLE[1:],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    },
    "completions": {"instruction": "q1", "completions": [{"model": "m", "response": "a1"}]},
    "messages": {"messages": SINGLE, "system_prompt": "Be brief."},
    "cell": {"messages": json.dumps(SINGLE)},
    "bare": SINGLE,
    "sharegpt": {"conversations": SHAREGPT},
    "texts in turn": {"conversations": ["q1", "a1", "q2", "a2"]},
    "pairs of turns": {"conversation": [{"input": "q1", "output": "a1", "system": "s1"}]},
    "dialogue": {"dialogue": SHAREGPT},
    "transcript": {"system": "SYSTEM: You know rain.", "chat": TALK},
    "a long transcript": {
        "system": "SYSTEM: You know rain.",
        "chat": "\n\n\n".join([TALK, "FUNCTION RESPONSE: 4 mm", "ASSISTANT: Yes."] * 20),
    },
    "prompt": {"prompt": "\n\nHuman: Why 雨 and snow?\n\nAssistant:", "completion": "a1"},
    "alpaca": {
        "instruction": "q1",
        "input": "i1",
        "output": "a1",
        "system": "s1",
        "history": [["h1", "h2"]],
    },
    "dolly": {"instruction": "q1", "context": "c1\nc2", "response": "a1"},
    "task": {"definition": "d1", "inputs": "i1", "targets": ["a1", "a2"]},
    "self_instruct": {"instruction": "q1", "instances": [{"input": "i1", "output": "a1"}]},
    "options": {"question": "q1", "choices": ["iron", "ice"], "answer": "B"},
    "columns of options": {"question": "q1", "A": "iron", "B": "ice", "answer": "B"},
    "worked": {"problem": "q1", "solution": "1 + 1 = 2", "answer": "2"},
    "oasst": {
        "message_tree_id": "2",
        "prompt": {
            "message_id": "2",
            "role": "prompter",
            "text": "q1",
            "replies": [{"message_id": "2", "role": "assistant", "text": "a1"}],
        },
    },
    "mt_bench": {
        "question": {"question_id": 1, "turns": ["q1"]},
        "answer": {"question_id": 1, "model_id": "m", "choices": [{"index": 0, "turns": ["a1"]}]},
    },
}
COLUMNS = {
    "prompt": ({"q": "q1", "a": "a1"}, {"prompt": "q", "response": "a"}),
    "turns": (
        {
            "t": [
                {"who": "X", "said": "q1"},
                {"who": "user", "said": "q2"},
                {"who": "Y", "said": "a"},
            ]
        },
        {"turns": "t", "role": "who", "content": "said", "user": "X", "assistant": "Y"},
    ),
    "transcript": (
        {"t": "Ann: Why does it rain?\nTOOL RESULT: 4 mm\nBob: Clouds cool."},
        {"transcript": "t", "user": "Ann", "assistant": "Bob"},
    ),
}


def read(record, **options):
    row = {
        "raw": json.dumps(record).encode("utf-8"),
        "source": "f",
        "position": 1,
        "records": 1,
        "reason": None,
        "detail": None,
    }
    return standard_rows(row, Read(**options).model_dump())


def unread(record, **options) -> dict[str, str]:
    [first, *_] = read(record, **options)
    assert first.get("reason") is None, first
    return dict(first["unread"])


@pytest.mark.parametrize("name", list(READ))
def test_nothing_is_named_of_a_record_that_is_read_as_a_whole(name: str) -> None:
    assert unread(READ[name]) == {}


@pytest.mark.parametrize("name", list(COLUMNS))
def test_nothing_is_named_of_columns_that_are_read_as_a_whole(name: str) -> None:
    record, columns = COLUMNS[name]
    assert unread(record, columns=columns) == {}
    extra = {**record, "note": "Take care."}
    assert unread(extra, columns=columns) == {"note": "Take care."}


def test_fields_are_named_with_one_instance_each_and_not_where_they_are_kept() -> None:
    record = {
        "instruction": "q1",
        "output": "a1",
        "source": "web",
        "empty": " ",
        "number": 5,
        "meta": {"tags": ["hard", "math"], "by": None, "a\ud800": "x\n y" + "z" * 100},
        "cell": '{"deep": [{"note": "in a cell"}]}',
    }
    assert unread(record) == {
        "source": "web",
        "meta.tags[]": "hard",
        "meta.a\\ud800": "x y" + "z" * 76 + "…",
        "cell.deep[].note": "in a cell",
    }
    assert set(unread(record, keep=("meta", "cell"), id="source")) == set()
    assert set(unread(record, keep=("meta.tags",))) == {
        "source",
        "meta.a\\ud800",
        "cell.deep[].note",
    }


def test_turns_after_the_last_answer_and_fields_of_turns_are_named() -> None:
    turns = [{**SINGLE[0], "name": "Ann"}, SINGLE[1], {"role": "user", "content": "Thanks!"}]
    assert unread({"messages": turns}) == {
        "messages[].name": "Ann",
        "messages[].content": "Thanks!",
    }


def test_replies_to_replies_are_one_field() -> None:
    record = json.loads(json.dumps(READ["oasst"]))
    [reply] = record["prompt"]["replies"]
    reply["lang"] = "de-AT"
    reply["replies"] = [{"message_id": "2", "role": "prompter", "text": "q2", "lang": "de-CH"}]
    assert unread(record) == {
        "prompt.replies[].lang": "de-AT",
        "prompt.replies[].text": "q2",
    }


WORD = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30)
NAME = st.sampled_from(
    ["meta", "note", "lang", "tools", "image", "Extra", "Source", "weight", "label", "text", "name"]
)
EXTRA = st.recursive(
    WORD | st.none() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(NAME, EXTRA, max_size=4)


@settings(deadline=None)
@given(st.sampled_from([name for name in READ if name != "bare"]), FIELDS, FIELDS)
def test_each_text_of_a_record_is_in_an_example_or_its_field_is_named(layout, beside, inside):
    record = json.loads(json.dumps(READ[layout]))
    record = {**beside, **record}
    lists = [value for value in record.values() if isinstance(value, list)]
    for each in (turn for turns in lists for turn in turns if isinstance(turn, dict)):
        for name, value in inside.items():
            each.setdefault(name, value)
    rows = read(record)
    if any(row.get("reason") for row in rows):
        return  # the record is in quarantine, as a whole
    said = [message["content"] for row in rows for message in row["messages"]]
    said += [value for row in rows for _, value in row["kept"]]
    structures = [json.loads(row["structure"]) for row in rows if row["structure"]]
    said += [text for _, _, text in texts(structures)]
    named = {name for row in rows for name, _ in row["unread"]}
    for name, _, text in texts(record):
        inside_cell = any(
            each.startswith(f"{name}.") or each.startswith(f"{name}[") for each in named
        )
        assert (
            name in named
            or inside_cell
            or any(
                text.strip() in whole or whole.strip() in text for whole in said if whole.strip()
            )
        ), (name, text)
