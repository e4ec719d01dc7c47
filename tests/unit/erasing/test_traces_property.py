"""A text is seen in whatever writing, and another text is never taken for it."""

import csv
import html
import io
import json

from hypothesis import assume, given
from hypothesis import strategies as st

from instructmining.erasing.traces import HOLDS, MAY_HOLD, Trace, plain, verdict

# What every writing keeps: a lone surrogate, NUL and control characters are another matter.
LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"])
# No escapes and entities of its own: how a text that holds some is read is said in `plain`.
WORDS = st.text(LETTERS, min_size=20, max_size=60).filter(
    lambda text: not set("\\&") & set(text) and len(plain(text)) >= 20
)


def as_csv(texts: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(texts)
    return out.getvalue()


WRITINGS = {
    "json": lambda texts: json.dumps(texts),
    "json as it is": lambda texts: json.dumps(texts, ensure_ascii=False),
    "json in json": lambda texts: json.dumps({"raw": json.dumps(texts)}),
    "json in json in json": lambda texts: json.dumps(json.dumps(json.dumps(texts))),
    "csv": as_csv,
    "html": lambda texts: "".join(f"<p>{html.escape(text)}</p>" for text in texts),
    "python": lambda texts: ascii(texts),
    "lines": lambda texts: "\n".join(texts),
}


@given(WORDS, WORDS, st.sampled_from(sorted(WRITINGS)))
def test_an_example_is_seen_in_every_writing(question, answer, name):
    content = WRITINGS[name](["before", question, answer, "after"])
    assert verdict(content, [Trace.of("a" * 32, [question, answer])]) == HOLDS


@given(WORDS, WORDS, WORDS, st.sampled_from(sorted(WRITINGS)))
def test_the_whole_of_every_turn_is_proof_and_less_is_not(question, answer, other, name):
    assume(plain(answer) not in plain(other) + plain(question))
    content = WRITINGS[name]([question, other])
    assert verdict(content, [Trace.of("a" * 32, [question, answer])]) in ("", MAY_HOLD)


@given(WORDS, WORDS)
def test_a_text_without_either_is_not_taken_for_it(question, answer):
    assert verdict("Quite another page.", [Trace.of("a" * 32, [question, answer])]) == ""


@given(WORDS)
def test_what_is_plain_stays_as_it_is(text):
    assert plain(plain(text)) == plain(text)
