"""Finding an example's texts in files that write them in their own ways."""

import csv
import html
import io
import json

import pytest
from markupsafe import escape

from instructmining.erasing.traces import Trace, plain, verdict, verdict_of_record

PROMPT = 'Ask "why" & <how>\nit\'s done?\t\\alpha \\frac{1}{2}'
RESPONSE = "Привет — ответ, который никто больше\tне написал бы именно так, 𠀀 слово в слово."
TRACE = Trace.of("a" * 32, [PROMPT, RESPONSE])


def in_csv(text: str) -> str:
    """As Excel and Python write a cell: in quotes, its own quotes doubled."""
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerow([text])
    return written.getvalue().strip()


def in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        in_json,
        lambda text: in_json(json.dumps(text)),
        lambda text: json.dumps(in_json(json.dumps(text))),
        lambda text: json.dumps(text).replace("/", "\\/"),
        in_csv,
        lambda text: in_csv(json.dumps(text)),
        lambda text: in_json(in_csv(text)),
        lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),  # Spark's own CSV
        repr,
        html.escape,
        lambda text: html.escape(html.escape(text)),
        lambda text: html.escape(text, quote=False),
        escape,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: " ".join(text.split()),
    ],
)
def test_whole_texts_are_proof_however_they_are_written(write):
    content = f"before {write(PROMPT)} between {write(RESPONSE)} after"
    assert verdict(content, [TRACE]) == "holds it"


def test_a_record_of_another_encoding_is_read_as_windows_wrote_it():
    question, answer = "Wie heißt der Müller, der in der Mühle wohnt?", "Jörg „Öl“ Größ."
    raw = f'{{"q": "{question}", "a": "{answer}"}}'.encode("cp1252")
    shown = raw.decode("utf-8", "backslashreplace")  # as quarantine keeps it
    assert "M\\xfcller" in shown
    assert verdict(shown, [Trace.of("a" * 32, [question, answer])]) == "holds it"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is 3 + 2 = 5?", "Is 3 - 2 = 5?"),
        ("a < b", "a > b"),
        ("Is it?", "Is it!"),
        ("Name it", "name it"),
        ("für", "fur"),
        ("日本語", "日本"),
    ],
)
def test_texts_that_differ_in_what_is_read_stay_different(one, other):
    assert plain(one) != plain(other)


def test_beginnings_that_agree_are_no_proof():
    """Two ordinary examples of one task: 52 and 44 characters of them are the same."""
    task = "Rewrite the following sentence in the passive voice: "
    start = "Sure! Here is the sentence in the passive voice: "
    erased = Trace.of("a" * 32, [f"{task}The cat ate the fish.", f"{start}The fish was eaten."])
    page = f"<p>{task}A dog bit the man.<p>{start}The man was bitten."
    assert verdict(page, [erased]) == "may hold it"
    assert verdict_of_record(page, [erased]) == "may hold it"
    shown = f"<p>{task}The cat ate the fish.<p>{start}The fish was eaten."
    assert verdict(shown, [erased]) == "holds it"


def test_the_response_alone_is_no_proof_and_a_short_one_no_sign():
    assert verdict(RESPONSE, [TRACE]) == "may hold it"
    assert verdict("Yes.", [Trace.of("b" * 32, ["Is it?", "Yes."])]) == ""
    assert verdict("Is it? Yes.", [Trace.of("b" * 32, ["Is it?", "Yes."])]) == "may hold it"
    assert verdict(PROMPT, [TRACE]) == ""


def test_every_turn_of_a_conversation_is_wanted():
    turns = [
        "Be brief and speak only of birds.",
        "Who sings?",
        "The lark.",
        "Who else?",
        "The wren.",
    ]
    trace = Trace.of("a" * 32, turns)
    assert verdict(json.dumps([{"content": turn} for turn in turns]), [trace]) == "holds it"
    assert verdict(json.dumps([{"content": turn} for turn in turns[1:]]), [trace]) == ""
    assert verdict("\n\n".join([*turns[:2], "The robin.", *turns[3:]]), [trace]) == "may hold it"


def test_one_whole_turn_that_nobody_else_has_is_proof_in_a_record():
    prompt = "Ms Example, born 3 May 1970, asks about her blood test of last week."
    refusal = "I am sorry, but as a language model I cannot help you with that."
    trace = Trace.of("a" * 32, [prompt, refusal], shared={refusal})
    assert verdict_of_record(json.dumps({"q": prompt, "a": None}), [trace]) == "holds it"
    assert verdict_of_record(json.dumps({"q": "Hm?", "b": refusal}), [trace]) == "may hold it"
    alone = Trace.of("a" * 32, [prompt, refusal])
    assert verdict_of_record(json.dumps({"q": "Hm?", "b": refusal}), [alone]) == "holds it"


@pytest.mark.parametrize("end", ["", '"}', "…", "…}]", "\\", "\\u04", "\\\\u0"])
def test_a_record_that_was_cut_in_one_of_its_texts_may_hold_it(end):
    prompt = "Ms Exämple, born 3 May 1970, asks — «again» — about her blood test of last week."
    trace = Trace.of("a" * 32, [prompt, RESPONSE])
    for length in (56, 66, 75):
        cut = json.dumps({"id": 7, "q": prompt[:length]})[:-2]
        assert verdict_of_record(cut + end, [trace]) == "may hold it"
    assert verdict_of_record(json.dumps({"id": 7, "q": prompt[:25]})[:-2] + end, [trace]) == ""


@pytest.mark.parametrize("turns", [["", " "], [" ", RESPONSE[:39]], ["", ""], ["'", '"'], ["x"]])
def test_blank_texts_are_found_nowhere(turns):
    blank = Trace.of("c" * 32, turns)
    assert verdict("anything", [blank]) == ""
    assert verdict(RESPONSE[:39], [blank]) == ""


def test_texts_that_stand_anywhere_by_chance_leave_a_doubt():
    chance = Trace.of("d" * 32, ["a", "b"])
    content = '{"name": "table of batches"}'
    assert verdict(content, [chance]) == "may hold it"
    assert verdict(f"{content} {PROMPT} {RESPONSE}", [chance, TRACE]) == "holds it"
    assert verdict("ohne", [chance, TRACE]) == ""
    assert verdict("", [chance, TRACE]) == ""
    just_enough = Trace.of("e" * 32, ["p" * 20, "r" * 20])
    assert verdict(f"{'p' * 20} {'r' * 20}", [just_enough]) == "holds it"
    too_short = Trace.of("e" * 32, ["p" * 20, "r" * 19])
    assert verdict(f"{'p' * 20} {'r' * 19}", [too_short]) == "may hold it"
