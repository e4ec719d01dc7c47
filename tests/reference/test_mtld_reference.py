"""MTLD against the definition of McCarthy & Jarvis (2010), written again, and by hand."""

import numpy as np
import pytest

from instructmining.models.lists import ModelSpec
from udfs.indicators import resolve
from udfs.running.scorers import load_scorer


def measure(conversations):
    model = resolve(ModelSpec(kind="mtld", indicators=("mtld",)))
    return load_scorer(model, "cpu").measure(conversations)


def replies(*texts):
    return [[{"role": "user", "content": "?"}, {"role": "assistant", "content": t}] for t in texts]


def test_a_hand_counted_example():
    """Ten times `a b`: the ratio is 1, 1, 2/3 after three words, so a factor is three words long;
    20 words hold six factors, and the two left over are distinct and add nothing."""
    assert measure(replies("a b " * 10)).values["mtld"][0] == pytest.approx(20 / 6)


def test_a_rest_that_is_part_of_a_factor_counts_in_part():
    """Nine distinct words, then the first again: ratio 0.9, so 0.1 / 0.28 of a factor."""
    found = measure(replies("a b c d e f g h i a")).values["mtld"][0]
    assert found == pytest.approx(10 / (0.1 / 0.28))


def factors(words):
    """How many stretches it takes for the type-token ratio to fall to 0.72, the last in part."""
    count, start = 0.0, 0
    for end in range(1, len(words) + 1):
        ratio = len(set(words[start:end])) / (end - start)
        if ratio <= 0.72:
            count = count + 1
            start = end
    return count + (0 if start == len(words) else (1 - ratio) / (1 - 0.72))


def test_real_rows_equal_the_definition(real_rows):
    rows = [c for c in real_rows if len(words(c)) >= 10]
    found = measure(rows).values["mtld"]
    assert len(rows) > 100
    for conversation, value in zip(rows, found, strict=True):
        text = words(conversation)
        passes = [len(text) / (factors(each) or 1) for each in (text, text[::-1])]
        assert value == pytest.approx(sum(passes) / 2, rel=1e-9)


def words(conversation):
    """Lower case, digits and ASCII punctuation dropped, as `lexicalrichness` makes its words."""
    text = conversation[-1]["content"].lower()
    kept = "".join(c for c in text if not c.isdigit() and c not in "–—-")
    return "".join(" " if c in "!\"#$%&'()*+,./:;<=>?@[\\]^_`{|}~" else c for c in kept).split()


def test_too_few_words_are_null_with_a_reason():
    found = measure(replies("one two three four five six seven eight nine", "a b c d e f g h i j"))
    assert np.isnan(found.values["mtld"][0])
    assert found.reasons[0] == "fewer than 10 words"
    assert found.values["mtld"][1] == 10, (
        "all words distinct: one factor, as lexicalrichness has it"
    )
    assert found.tokens.tolist() == [9, 10]


def test_all_assistant_turns_are_joined():
    one = replies("the red fox saw the red hen and the fox ran off")[0]
    two = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "the red fox saw the red hen"},
        {"role": "user", "content": "and then, in other and many more words?"},
        {"role": "assistant", "content": "and the fox ran off"},
    ]
    values = measure([one, two]).values["mtld"]
    assert values[0] == values[1]


def test_rows_without_a_reply_leave_the_others_alone():
    found = measure([[], *replies("a b " * 10), [{"role": "assistant", "content": "文字" * 30}]])
    assert found.reasons == ["no messages", None, "fewer than 10 words"]
    assert found.values["mtld"][1] == pytest.approx(20 / 6)
