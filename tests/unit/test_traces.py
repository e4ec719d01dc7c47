"""Finding an example's texts in files that write them in their own ways."""

import html
import json

import pytest
from markupsafe import escape

from instructmining.traces import Trace, held

PROMPT = 'Ask "why" & <how>\nit\'s done?'
RESPONSE = "Привет — ответ, который никто больше\tне написал бы именно так, слово в слово."
TRACE = Trace.of("a" * 32, PROMPT, RESPONSE)


@pytest.mark.parametrize("write", [
    str, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), html.escape, escape,
    lambda text: " ".join(text.split())[:40] + "…",
])  # fmt: skip
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
    assert held("anything", [Trace.of("c" * 32, "", " ")]) == []
