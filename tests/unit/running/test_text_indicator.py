"""What an indicator gets from its base: reasons, words, and rows that fail alone."""

import numpy as np
import pytest

from instructmining.models.lists import ModelSpec
from udfs.running.measurement import Runtime
from udfs.running.text_indicator import TextIndicator, Undefined
from udfs.texts.conversations import assistant_text


class Questions(TextIndicator):
    """Question marks in the replies; undefined without a full stop, and fails at `boom`."""

    def value(self, conversation):
        text = assistant_text(conversation)
        if "boom" in text:
            raise ZeroDivisionError("boom")
        if "inf" in text:
            return float("inf")
        return float(text.count("?")) if "." in text else Undefined("no full stop")


def replies(*texts):
    return [[{"role": "user", "content": "?"}, {"role": "assistant", "content": t}] for t in texts]


@pytest.fixture(scope="module")
def measured():
    scorer = Questions(ModelSpec(kind="questions", indicators=("questions",)), Runtime())
    rows = replies("Who? You.", "boom", "Да? Нет? Да.", "Hello", " ", None, "inf.")
    return scorer.measure([*rows, [], [{"role": "user", "content": "Hi."}]])


def test_a_row_without_a_value_is_null_and_has_a_reason(measured):
    values = measured.values["questions"]
    np.testing.assert_equal(values, [1, np.nan, 2, *[np.nan] * 6])
    assert measured.reasons == [
        None,
        "failed: ZeroDivisionError: boom",
        None,
        "no full stop",
        "every assistant turn is blank",
        "a message without role or text",
        "failed: the model gave no finite number",
        "no messages",
        "no assistant turn",
    ]


def test_words_are_counted_where_there_is_something_to_read(measured):
    assert measured.tokens.tolist() == [2, 1, 3, 1, 0, 0, 1, 0, 0]
