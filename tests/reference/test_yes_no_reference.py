"""P(yes) against transformers' own forward: one text at a time, full softmax, no padding."""

import numpy as np
import pytest
import tiny_models
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from instructmining.errors import UserError

QUESTION = "Is this a good reply? Yes or No."


def full_softmax(folder, conversations):
    """The text by hand: contents by line, EOS after an earlier answer, as in template `plain`.

    A special token that somebody wrote into a text is text.
    """
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = [
        {tokenizer(form, add_special_tokens=False).input_ids[0] for form in forms}
        for forms in (("Yes", " Yes", "yes", " yes", "YES"), ("No", " No", "no", " no", "NO"))
    ]
    yes, no = (sorted(own - other) for own, other in (words, words[::-1]))
    asked = tokenizer(f"\n\n{QUESTION}\nAnswer:", add_special_tokens=False).input_ids
    scores = []
    for conversation in conversations:
        ids = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        for place, message in enumerate(conversation):
            separator = "\n" if place else ""
            for part in (separator, message["content"]):
                if part:
                    ids += tokenizer(
                        part, add_special_tokens=False, split_special_tokens=True
                    ).input_ids
            if message["role"] == "assistant" and place < len(conversation) - 1:
                ids.append(tokenizer.eos_token_id)
        with torch.no_grad():
            logits = model(torch.tensor([[*ids, *asked]])).logits[0, -1].double()
        p = logits.softmax(-1)
        scores.append((p[yes].sum() / (p[yes].sum() + p[no].sum())).item())
    return np.array(scores)


def replied(conversation):
    """Up to the last reply."""
    last = max(i for i, message in enumerate(conversation) if message["role"] == "assistant")
    return conversation[: last + 1]


@pytest.mark.parametrize("make", [tiny_models.llama, tiny_models.qwen3, tiny_models.gemma2])
def test_scores_equal_the_full_softmax_whatever_the_batch(tmp_path, hand_made, scorer_of, make):
    folder = make(tmp_path)
    options = {"max_length": 200, "indicators": ("good",), "question": QUESTION}
    scorer = scorer_of(folder, "yes_no", **options)
    rows = [row for row in hand_made if len(str(row)) < 300]
    found = scorer.measure(rows).values["good"]
    assert found == pytest.approx(full_softmax(folder, map(replied, rows)), rel=1e-4)
    assert found.std() > 1e-3, "all alike would prove nothing"


def test_a_long_text_keeps_the_question(tmp_path, scorer_of):
    folder = tiny_models.llama(tmp_path)
    row = [
        {"role": "user", "content": "the sky is blue " * 200},
        {"role": "assistant", "content": "yes it is"},
    ]
    scorer = scorer_of(folder, "yes_no", max_length=120, indicators=("good",), question=QUESTION)
    measured = scorer.measure([row, [], [{"role": "user", "content": "日本"}]])
    assert measured.truncated_tokens[0] > 0
    _, texts = scorer.prepare([row])
    assert texts[0][-len(scorer.asked) :] == scorer.asked
    assert len(texts[0]) <= 120
    assert 0 < measured.values["good"][0] < 1
    assert measured.reasons == [None, "no messages", "no assistant turn"]


def test_a_question_is_needed_and_has_to_fit(tmp_path, scorer_of):
    folder = tiny_models.llama(tmp_path)
    with pytest.raises(UserError, match="needs the question"):
        scorer_of(folder, "yes_no", max_length=120, indicators=("good",))
    with pytest.raises(UserError, match="tokens of room"):
        scorer_of(folder, "yes_no", max_length=20, indicators=("good",), question=QUESTION)
