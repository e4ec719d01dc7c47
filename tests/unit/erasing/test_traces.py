"""Finding an example's texts in files that write them in their own ways."""

import html
import json

import pytest
from markupsafe import escape

from instructmining.erasing.traces import Trace, held, verdict

PROMPT = 'Ask "why" & <how>\nit\'s done?'
RESPONSE = "Привет — ответ, который никто больше\tне написал бы именно так, слово в слово."
TRACE = Trace.of("a" * 32, PROMPT, RESPONSE)


@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        html.escape,
        escape,
        lambda text: " ".join(text.split())[:40] + "…",
    ],
)
def test_both_texts_are_found_however_they_are_written(write):
    content = f"before {write(PROMPT)} between {write(RESPONSE)} after"
    assert held(content, [TRACE]) == ["a" * 32]


def test_a_prompt_alone_is_anybodys():
    assert held(PROMPT, [TRACE]) == []


def test_a_long_response_is_enough_and_a_short_one_is_not():
    assert held(json.dumps({"broken": RESPONSE})[:-1], [TRACE]) == ["a" * 32]
    assert held("Yes.", [Trace.of("b" * 32, "Is it?", "Yes.")]) == []
    assert held("Is it? Yes.", [Trace.of("b" * 32, "Is it?", "Yes.")]) == ["b" * 32]


def test_blank_texts_are_found_nowhere():
    blank = Trace.of("c" * 32, "", " ")
    assert held("anything", [blank]) == []
    assert not blank.fills("anything")
    assert not Trace.of("c" * 32, "", RESPONSE).fills(RESPONSE)


def test_texts_that_stand_anywhere_by_chance_leave_a_doubt():
    chance = Trace.of("d" * 32, "a", "b")
    content = '{"name": "table of batches"}'
    assert chance.is_in(content)
    assert not chance.fills(content)
    assert verdict(content, [chance]) == "may hold it"
    assert verdict(f"{content} {PROMPT} {RESPONSE}", [chance, TRACE]) == "holds it"
    assert verdict("ohne", [chance, TRACE]) == ""
    just_enough = Trace.of("e" * 32, "p" * 20, "r" * 20)
    assert verdict(f"{'p' * 20} {'r' * 20}", [just_enough]) == "holds it"


def test_a_line_with_the_same_beginnings_is_another_example():
    line = json.dumps({"q": PROMPT, "a": RESPONSE})
    assert TRACE.fills(line)
    assert not TRACE.fills(json.dumps({"q": PROMPT, "a": RESPONSE[:50]}))
    assert TRACE.is_in(json.dumps({"q": PROMPT, "a": RESPONSE[:50]}))
