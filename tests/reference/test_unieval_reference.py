"""UniEval's scores against its formula: full softmax at the first decoder step, text by text."""

import numpy as np
import pytest
import tiny_models
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from instructmining.errors import UserError

DIMENSIONS = ("naturalness", "coherence", "understandability")


def questions(conversation):
    """Written out as UniEval's `add_question` does for the dialogue task."""
    response = conversation[-1]["content"]
    history = "\n".join(m["content"] for m in conversation[:-1])
    return [
        "question: Is this a natural response in the dialogue? </s> response: " + response,
        "question: Is this a coherent response given the dialogue history? </s> response: "
        + response
        + " </s> dialogue history: "
        + history,
        "question: Is this an understandable response in the dialogue? </s> response: " + response,
    ]


def full_softmax(folder, conversations, max_length=1024):
    """As UniEval's scorer: a dummy one-token label, full softmax, yes / (yes + no)."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    yes, no = (tokenizer(word).input_ids[0] for word in ("Yes", "No"))
    rows = []
    for conversation in conversations:
        row = []
        for text in questions(conversation):
            encoded = tokenizer(text, max_length=max_length, truncation=True, return_tensors="pt")
            with torch.no_grad():
                logits = model(**encoded, labels=torch.tensor([[no]])).logits
            p = logits[0, 0].double().softmax(-1)
            row.append((p[yes] / (p[yes] + p[no])).item())
        rows.append(row)
    return np.array(rows)


def as_array(found):
    return np.stack([found.values[name] for name in DIMENSIONS], axis=1)


def test_scores_equal_the_full_softmax(tmp_path, hand_made, scorer_of):
    folder = tiny_models.t5(tmp_path)
    scorer = scorer_of(folder, "unieval", max_length=1024, indicators=DIMENSIONS)
    found = as_array(scorer.measure(hand_made))
    assert found == pytest.approx(full_softmax(folder, hand_made), rel=1e-4)
    assert found.std() > 0.01, "all alike would prove nothing"
    assert np.abs(found[:, 0] - found[:, 1]).max() > 1e-3


def test_real_rows_equal_the_full_softmax(tmp_path, real_rows, scorer_of):
    folder = tiny_models.t5(tmp_path)
    scorer = scorer_of(folder, "unieval", max_length=1024, indicators=DIMENSIONS)
    found = as_array(scorer.measure(real_rows))
    assert found == pytest.approx(full_softmax(folder, real_rows), rel=1e-4)


def test_a_long_text_loses_its_end_as_in_the_original(tmp_path, hand_made, scorer_of):
    folder = tiny_models.t5(tmp_path)
    rows = [
        [
            {"role": "user", "content": "the sky is blue " * 30},
            {"role": "assistant", "content": "Paris is the capital " * 30},
        ]
    ]
    scorer = scorer_of(folder, "unieval", max_length=64, indicators=DIMENSIONS)
    found = scorer.measure(rows)
    assert as_array(found) == pytest.approx(full_softmax(folder, rows, 64), rel=1e-4)
    tokens = [
        len(AutoTokenizer.from_pretrained(folder)(text).input_ids) for text in questions(rows[0])
    ]
    assert found.tokens[0] == sum(tokens)
    assert found.truncated_tokens[0] == sum(tokens) - 3 * 64


def test_scores_depend_on_neither_batch_size_nor_order(tmp_path, hand_made, scorer_of):
    folder = tiny_models.t5(tmp_path)
    alone = scorer_of(folder, "unieval", token_budget=1, indicators=DIMENSIONS).measure(hand_made)
    scorer = scorer_of(folder, "unieval", token_budget=4096, indicators=DIMENSIONS)
    assert as_array(scorer.measure(hand_made[::-1]))[::-1] == pytest.approx(
        as_array(alone), rel=1e-4
    )


def test_one_indicator_asks_one_question(tmp_path, hand_made, scorer_of):
    folder = tiny_models.t5(tmp_path)
    one = scorer_of(folder, "unieval", indicators=("coherence",)).measure(hand_made)
    assert list(one.values) == ["coherence"]
    assert one.values["coherence"] == pytest.approx(full_softmax(folder, hand_made)[:, 1], rel=1e-4)


def test_models_and_indicators_that_do_not_fit_are_refused(tmp_path, scorer_of):
    with pytest.raises(UserError, match="not 'fluency'"):
        scorer_of(tiny_models.t5(tmp_path / "t5"), "unieval", indicators=("fluency",))
    with pytest.raises(ValueError, match="Unrecognized configuration class"):
        scorer_of(tiny_models.llama(tmp_path / "llama"), "unieval", indicators=DIMENSIONS)
