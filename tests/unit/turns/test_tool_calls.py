"""Calls and reasoning from every usual form, and back into one text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.turns.tool_calls import call_text, calls_of, reasoning_of, with_calls

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(min_size=1, max_size=6), JSON, max_size=3)
NAMES = st.text(min_size=1, max_size=10)


@given(NAMES, ARGUMENTS)
def test_every_usual_form_is_the_same_call(name, arguments):
    plain = {"name": name, "arguments": arguments}
    forms = [
        plain,
        json.dumps(plain),
        [plain],
        json.dumps([plain]),
        {"function": plain},
        {"type": "function", "function": plain},
        {"tool_call": plain},
        {"Name": name, "Arguments": arguments},
        {"tool_name": name, "input": arguments},
        {"function_name": name, "parameters": arguments},
    ]
    expected = [{"type": "function", "function": plain}]
    assert [calls_of(form) for form in forms] == [expected] * len(forms)


@given(NAMES, ARGUMENTS)
def test_the_text_of_a_call_holds_it_whole_whether_its_arguments_are_text_or_not(name, arguments):
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    text = {"type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    assert call_text(call) == call_text(text)
    inside = call_text(call).removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")
    assert json.loads(inside) == {"name": name, "arguments": arguments}
    assert calls_of(inside) == [call]


@pytest.mark.parametrize(
    "value", [None, "", "get_weather", "{broken", {"arguments": {}}, {"name": 3}, 7, [[]]]
)
def test_what_names_no_function_is_no_call(value):
    assert calls_of(value) == []


def test_one_bad_call_among_others_spoils_the_list_rather_than_vanish():
    good = {"name": "a", "arguments": {}}
    assert len(calls_of([good, good])) == 2
    assert calls_of([good, {"arguments": {}}]) == []


def test_an_id_is_kept_from_outside_or_inside():
    inside = {"id": "c1", "name": "a", "arguments": {}}
    assert calls_of(inside)[0]["id"] == "c1"
    assert calls_of({"call_id": "c2", "function": {"name": "a"}})[0] == {
        "id": "c2",
        "type": "function",
        "function": {"name": "a", "arguments": {}},
    }


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["  It rains. "], "It rains."),
        ([[{"text": "one"}, {"thinking": "two"}]], "one\ntwo"),
        (["same", ["same", {"content": "other"}]], "same\nother"),
        ([None, "", " ", {"x": 1}, 5], ""),
    ],
)
def test_reasoning_is_its_texts_each_once(values, text):
    assert reasoning_of(values) == text


CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": "ä"}}}


@pytest.mark.parametrize(
    ("text", "reasoning", "calls", "expected"),
    [
        ("Hi", "", [], "Hi"),
        ("", "", [], ""),
        ("Hi", "why", [], "<think>\nwhy\n</think>\n\nHi"),
        ("", "why", [], "<think>\nwhy\n</think>"),
        ("<think>\nwhy\n</think>\n\nHi", "why", [], "<think>\nwhy\n</think>\n\nHi"),
        ("  ", "", [CALL], call_text(CALL)),
        ("Hi", "", [CALL, CALL], f"Hi\n{call_text(CALL)}\n{call_text(CALL)}"),
    ],
)
def test_a_turn_is_reasoning_then_words_then_calls(text, reasoning, calls, expected):
    assert with_calls(text, reasoning, calls) == expected
