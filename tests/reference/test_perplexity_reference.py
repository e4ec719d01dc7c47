"""Perplexity against transformers' own loss, computed one text at a time from full logits."""

import math

import numpy as np
import pytest
import tiny_models
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from instructmining.errors import UserError
from udfs.indicators.perplexity import INDICATORS

ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n### Instruction:\n{}\n\n### Response:\n"
)


class Naive:
    """Builds the ids of a single turn by hand and asks the model for its loss."""

    def __init__(self, folder, template):
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.template = template

    def ids(self, text, special=True):
        return self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=not special
        ).input_ids

    def prompt_ids(self, prompt):
        user = self.ids(prompt, special=False)
        bos = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        if self.template == "tags":
            return bos + self.ids("<|user|>") + user + self.ids("<|assistant|>")
        if self.template == "oasst":
            return self.ids("<|prompter|>") + user + self.ids("<|endoftext|><|assistant|>")
        if self.template == "alpaca":
            before, after = ALPACA.split("{}")
            return bos + self.ids(before) + user + self.ids(after)
        if self.template == "chat":
            thought = self.ids("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
            return self.ids("<|im_start|>user\n") + user + thought
        return bos + user + self.ids("\n")

    def response_ids(self, response):
        closing = "<|im_end|>" if self.template == "chat" else "<|endoftext|>"
        return self.ids(response, special=False) + self.ids(closing)

    def loss(self, before, counted):
        labels = torch.tensor([[-100] * len(before) + counted])
        with torch.no_grad():
            return self.model(torch.tensor([before + counted]), labels=labels).loss.item()

    def measure(self, prompt, response):
        counted = self.response_ids(response)
        start = self.tokenizer.bos_token_id
        start = self.tokenizer.eos_token_id if start is None else start
        return self.loss(self.prompt_ids(prompt), counted), self.loss([start], counted)


@pytest.mark.parametrize(
    ("build", "template"),
    [
        (tiny_models.llama, "tags"),
        (tiny_models.llama, "oasst"),
        (tiny_models.llama, "alpaca"),
        (tiny_models.gpt2, "plain"),
        (tiny_models.qwen3, "chat"),
        (tiny_models.gemma2, "plain"),
        (tiny_models.cohere, "plain"),
    ],
)
def test_both_losses_equal_transformers_loss(build, template, tmp_path, hand_made, scorer_of):
    folder = build(tmp_path)
    scorer = scorer_of(
        folder, "causal_lm", template=template, max_length=256, indicators=INDICATORS
    )
    naive = Naive(folder, template)
    rows = [c for c in hand_made if len(c) == 2]
    found = scorer.measure(rows).values
    expected = np.array([naive.measure(c[0]["content"], c[1]["content"]) for c in rows])
    assert found["nll"] == pytest.approx(expected[:, 0], rel=1e-4)
    assert found["nll_alone"] == pytest.approx(expected[:, 1], rel=1e-4)
    assert found["perplexity"] == pytest.approx(np.exp(expected[:, 0]), rel=1e-4)
    assert found["ifd"] == pytest.approx(np.exp(expected[:, 0] - expected[:, 1]), rel=1e-4)
    assert found["ifd"].std() > 0.05, "a prompt that changes nothing would prove nothing"


def test_real_rows_equal_transformers_loss(tmp_path, real_rows, scorer_of):
    folder = tiny_models.llama(tmp_path, positions=2048)
    naive = Naive(folder, "tags")
    scorer = scorer_of(folder, "causal_lm", template="tags", max_length=2048, indicators=INDICATORS)
    measured = scorer.measure(real_rows)
    assert not measured.truncated_tokens.any()
    found = measured.values
    expected = np.array([naive.measure(c[0]["content"], c[1]["content"]) for c in real_rows])
    assert found["perplexity"] == pytest.approx(np.exp(expected[:, 0]), rel=1e-4)
    assert found["perplexity_alone"] == pytest.approx(np.exp(expected[:, 1]), rel=1e-4)
    lengths = [[len(naive.ids(m["content"], special=False)) for m in c] for c in real_rows]
    assert found["input_length"].tolist() == [prompt for prompt, _ in lengths]
    assert found["output_length"].tolist() == [response for _, response in lengths]


def test_all_assistant_turns_count_in_one_forward(tmp_path, hand_made, scorer_of):
    folder = tiny_models.llama(tmp_path)
    naive = Naive(folder, "tags")
    messages = hand_made[3]
    ids = [1]
    labels = [-100]
    alone = []
    for message in messages:
        content = naive.ids(message["content"], special=False)
        ids += naive.ids(f"<|{message['role']}|>") + content
        labels += [-100] * (1 + len(content))
        if message["role"] == "assistant":
            ids += [naive.tokenizer.eos_token_id]
            labels[-len(content) :] = content
            labels += [naive.tokenizer.eos_token_id]
            alone += [*content, naive.tokenizer.eos_token_id]
    with torch.no_grad():
        expected = naive.model(torch.tensor([ids]), labels=torch.tensor([labels])).loss.item()
    found = scorer_of(folder, "causal_lm", template="tags", indicators=INDICATORS).measure(
        [messages]
    )
    assert found.values["nll"][0] == pytest.approx(expected, rel=1e-4)
    assert found.values["nll_alone"][0] == pytest.approx(naive.loss([1], alone), rel=1e-4)
    assert found.tokens[0] == len(ids)


def test_an_over_long_text_is_cut_counted_and_scored_on_what_is_left(tmp_path, scorer_of):
    folder = tiny_models.llama(tmp_path)
    naive = Naive(folder, "tags")
    prompt = "tell me a story " * 40
    response = "once upon a time " * 60
    before = naive.prompt_ids(prompt)
    counted = naive.response_ids(response)
    scorer = scorer_of(folder, "causal_lm", template="tags", max_length=64, indicators=INDICATORS)
    conversation = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    found = scorer.measure([conversation])
    kept_prompt = before[:2] + before[-14:]
    kept_response = counted[:48]
    assert found.values["nll"][0] == pytest.approx(naive.loss(kept_prompt, kept_response), rel=1e-4)
    assert found.values["nll_alone"][0] == pytest.approx(naive.loss([1], kept_response), rel=1e-4)
    assert found.tokens[0] == len(before) + len(counted)
    assert found.truncated_tokens[0] == found.tokens[0] - 64
    assert found.values["output_length"][0] == len(counted) - 1, "lengths are before the cut"


def test_scores_depend_on_neither_batch_size_nor_order(tmp_path, hand_made, scorer_of):
    folder = tiny_models.llama(tmp_path)
    options = {"template": "tags", "indicators": INDICATORS}
    alone = scorer_of(folder, "causal_lm", token_budget=1, **options).measure(hand_made)
    scorer = scorer_of(folder, "causal_lm", token_budget=4096, **options)
    together = scorer.measure(hand_made)
    reversed_ = scorer.measure(hand_made[::-1])
    for name in INDICATORS:
        assert together.values[name] == pytest.approx(alone.values[name], rel=1e-5)
        assert reversed_.values[name][::-1] == pytest.approx(alone.values[name], rel=1e-5)


def test_rows_that_cannot_be_measured_say_why_and_leave_the_others_alone(
    tmp_path, hand_made, scorer_of
):
    scorer = scorer_of(
        tiny_models.llama(tmp_path), "causal_lm", template="tags", indicators=INDICATORS
    )
    bad = [
        [],
        [{"role": "user", "content": "no answer"}],
        [{"role": "user", "content": "blank"}, {"role": "assistant", "content": " \n"}],
        [{"role": "critic", "content": "42"}, {"role": "assistant", "content": "Fine."}],
    ]
    found = scorer.measure([bad[0], hand_made[0], *bad[1:], hand_made[1]])
    expected = scorer.measure(hand_made[:2])
    assert found.reasons == [
        "no messages",
        None,
        "no assistant turn",
        "every assistant turn is blank",
        "the template tags does not take these turns: the tokenizer has no tag for the role "
        "'critic'",
        None,
    ]
    for name in INDICATORS:
        assert found.values[name][[1, 5]] == pytest.approx(expected.values[name], rel=1e-5)
        assert np.isnan(found.values[name][[0, 2, 3, 4]]).all()


def test_a_forward_that_fails_is_that_rows_own_reason(tmp_path, hand_made, scorer_of, monkeypatch):
    """A real out-of-range token id: the embedding raises for the batch, then for its row only."""
    folder = tiny_models.llama(tmp_path)
    scorer = scorer_of(folder, "causal_lm", template="tags", indicators=("perplexity",))
    good = scorer.measure(hand_made).values["perplexity"]
    table = scorer.log_loss.body.embed_tokens
    monkeypatch.setattr(table, "weight", torch.nn.Parameter(table.weight[:350]))
    found = scorer.measure(hand_made)
    failed = np.array([reason is not None for reason in found.reasons])
    assert 0 < failed.sum() < len(hand_made)
    assert all(reason.startswith("failed: IndexError") for reason in found.reasons if reason)
    assert found.values["perplexity"][~failed] == pytest.approx(good[~failed], rel=1e-5)
    assert np.isnan(found.values["perplexity"][failed]).all()


def test_without_indicators_that_need_it_the_second_forward_is_left_out(tmp_path, scorer_of):
    scorer = scorer_of(
        tiny_models.llama(tmp_path), "causal_lm", template="tags", indicators=("perplexity", "nll")
    )
    lengths = []
    forward = scorer.log_loss.of_tokens
    scorer.log_loss.of_tokens = lambda texts: lengths.extend(texts) or forward(texts)
    found = scorer.measure([[{"role": "assistant", "content": "Yes"}]])
    assert len(lengths) == 1
    assert found.values["perplexity"][0] == pytest.approx(math.exp(found.values["nll"][0]))


def test_bfloat16_stays_within_a_few_percent(tmp_path, hand_made):
    from instructmining.models.lists import ModelSpec
    from udfs.indicators import resolve
    from udfs.running.scorers import load_scorer

    folder = tiny_models.llama(tmp_path)
    model = resolve(
        ModelSpec(kind="causal_lm", source=str(folder), template="tags", indicators=("nll",))
    )
    exact = load_scorer(model, "cpu", "float32").measure(hand_made).values["nll"]
    rough = load_scorer(model, "cpu", "bfloat16").measure(hand_made).values["nll"]
    assert rough == pytest.approx(exact, rel=0.05)
    assert not np.array_equal(rough, exact)


def test_a_model_whose_logits_are_made_otherwise_is_refused(tmp_path, scorer_of, monkeypatch):
    folder = tiny_models.gemma2(tmp_path)
    monkeypatch.setattr(
        "udfs.indicators.perplexity.TokenLogLoss._logits", lambda self, h: self.head(h)
    )
    with pytest.raises(UserError, match="makes its logits in a way"):
        scorer_of(folder, "causal_lm", template="plain", indicators=("nll",))
