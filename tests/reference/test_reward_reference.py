"""Reward models and classifiers against forwards written without the scorers."""

import json
import math

import numpy as np
import pytest
import tiny_models
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.indicators import resolve
from udfs.running.scorers import load_scorer


def gpt_neox_reward(folder, ids, pooling="last"):
    """One text through a GPT-NeoX reward model, from its state dict and plain matrix products."""
    w = load_file(folder / "model.safetensors")
    heads, width, rotated = 4, 8, 2  # rotary_pct 0.25 of a head of width 8

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        spread = (x - x.mean(-1, keepdim=True)) / (
            x.var(-1, correction=0, keepdim=True) + 1e-5
        ) ** 0.5
        return spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    def rotate(x):
        """Turn the first two channels of every head by one radian per position (base 10000)."""
        angle = torch.arange(len(ids), dtype=torch.float32)[:, None]
        a = x[..., 0]
        b = x[..., 1]
        turned = (a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin())
        return torch.cat([torch.stack(turned, -1), x[..., rotated:]], -1)

    x = w["gpt_neox.embed_in.weight"][ids]
    for layer in range(2):
        name = f"gpt_neox.layers.{layer}"
        qkv = linear(norm(x, f"{name}.input_layernorm"), f"{name}.attention.query_key_value")
        q, k, v = qkv.view(len(ids), heads, 3 * width).split(width, -1)
        scores = torch.einsum("thd,shd->hts", rotate(q), rotate(k)) / width**0.5
        future = torch.ones(len(ids), len(ids)).triu(1).bool()
        attended = scores.masked_fill(future, -torch.inf).softmax(-1)
        mixed = torch.einsum("hts,shd->thd", attended, v).reshape(len(ids), -1)
        hidden = linear(norm(x, f"{name}.post_attention_layernorm"), f"{name}.mlp.dense_h_to_4h")
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        x = (
            x
            + linear(mixed, f"{name}.attention.dense")
            + linear(hidden, f"{name}.mlp.dense_4h_to_h")
        )
    x = norm(x, "gpt_neox.final_layer_norm")
    pooled = x[-1] if pooling == "last" else x.mean(0)
    return (pooled @ w["out_proj.weight"][0] + w["out_proj.bias"][0]).item()


def oasst_ids(tokenizer, conversation):
    tags = {"user": "<|prompter|>", "assistant": "<|assistant|>", "system": "<|system|>"}
    ids = []
    for message in conversation:
        ids += tokenizer(tags[message["role"]]).input_ids
        ids += tokenizer(message["content"], split_special_tokens=True).input_ids
        ids += [tokenizer.eos_token_id]
    return ids


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_the_open_assistant_model_is_read_without_its_package(
    pooling, tmp_path, hand_made, scorer_of
):
    folder = tiny_models.neox_reward(tmp_path, pooling)
    scorer = scorer_of(folder, "gpt_neox_reward", template="oasst", indicators=("reward",))
    found = scorer.measure(hand_made).values["reward"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    expected = [gpt_neox_reward(folder, oasst_ids(tokenizer, c), pooling) for c in hand_made]
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert found.std() > 0.1


def test_pickled_weights_are_refused_with_the_remedy(tmp_path, scorer_of):
    folder = tiny_models.neox_reward(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="save_pretrained"):
        scorer_of(folder, "gpt_neox_reward", template="oasst", indicators=("reward",))


def test_pairs_equal_the_tokenizers_pair_through_deberta(tmp_path, hand_made, scorer_of):
    folder = tiny_models.deberta_reward(tmp_path)
    scorer = scorer_of(folder, "sequence_classifier", template="pair", indicators=("reward",))
    found = scorer.measure(hand_made).values["reward"]
    assert found == pytest.approx(one_by_one(folder, hand_made, as_pair), rel=1e-4, abs=1e-5)
    assert found.std() > 0.05


def test_chat_reward_equals_the_rendered_chat_through_qwen3(tmp_path, hand_made, scorer_of):
    """As the Skywork card does: render the chat, tokenise the text, take the first logit."""
    folder = tiny_models.qwen3_reward(tmp_path)
    rows = [c for c in hand_made if "<|" not in c[-1]["content"]]

    scorer = scorer_of(folder, "sequence_classifier", template="chat", indicators=("reward",))
    found = scorer.measure(rows).values["reward"]
    assert found == pytest.approx(one_by_one(folder, rows, as_chat), rel=1e-4, abs=1e-5)


def test_a_decoder_without_padding_token_is_read_at_the_last_token(tmp_path, hand_made, scorer_of):
    folder = tiny_models.gpt2_reward_without_pad(tmp_path)

    def alone(tokenizer, conversation):
        text = "\n".join(m["content"] for m in conversation)
        ids = [*tokenizer(text).input_ids, tokenizer.eos_token_id]
        return {"input_ids": torch.tensor([ids])}

    rows = hand_made[:3]
    scorer = scorer_of(folder, "sequence_classifier", template="plain", indicators=("reward",))
    sizes = set()
    scorer.model.score.register_forward_hook(lambda _, hidden, __: sizes.add(len(hidden[0])))
    found = scorer.measure(rows).values["reward"]
    assert sizes == {1}, "transformers refuses a batch only after it has computed it"
    assert found == pytest.approx(one_by_one(folder, rows, alone), rel=1e-4, abs=1e-5)


def test_a_label_gives_its_probability_and_pairs_carry_token_types(tmp_path, hand_made, scorer_of):
    folder = tiny_models.bert_classifier(tmp_path)
    good = scorer_of(
        folder, "sequence_classifier", template="pair", label="good", indicators=("good",)
    ).measure(hand_made)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = []
    for conversation in hand_made:
        encoded = as_pair(tokenizer, conversation)
        assert encoded["token_type_ids"].sum() > 0
        with torch.no_grad():
            bad_logit, good_logit = model(**encoded).logits[0].tolist()
        expected.append(math.exp(good_logit) / (math.exp(good_logit) + math.exp(bad_logit)))
    assert good.values["good"] == pytest.approx(expected, rel=1e-4)


def test_a_classifier_can_read_the_response_alone(tmp_path, hand_made, scorer_of):
    folder = tiny_models.bert_classifier(tmp_path)
    scorer = scorer_of(
        folder, "sequence_classifier", template="response", label="bad", indicators=("bad",)
    )
    swapped = [[{"role": "user", "content": "other"}, c[-1]] for c in hand_made]
    assert scorer.measure(hand_made).values["bad"] == pytest.approx(
        scorer.measure(swapped).values["bad"], rel=1e-5
    )


def test_labels_are_named_when_they_must_be(tmp_path, scorer_of):
    folder = tiny_models.bert_classifier(tmp_path)
    with pytest.raises(UserError, match="name one of them as `label`: bad, good"):
        scorer_of(folder, "sequence_classifier", template="pair", indicators=("x",))
    with pytest.raises(UserError, match="no label 'fine': bad, good"):
        scorer_of(folder, "sequence_classifier", template="pair", label="fine", indicators=("x",))


def test_a_language_model_is_not_taken_for_a_reward_model(tmp_path, scorer_of):
    folder = tiny_models.qwen3(tmp_path)
    with pytest.raises(UserError, match=r"no fitting weights for score\.weight"):
        scorer_of(folder, "sequence_classifier", template="chat", indicators=("reward",))


def test_a_cut_keeps_the_end_of_the_prompt_and_the_start_of_the_reply(tmp_path, scorer_of):
    folder = tiny_models.neox_reward(tmp_path)
    scorer = scorer_of(
        folder, "gpt_neox_reward", template="oasst", max_length=40, indicators=("reward",)
    )
    prompt = "tell me a story " * 40
    reply = "once upon a time " * 40
    conversation = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
    found = scorer.measure([conversation])
    ids = oasst_ids(scorer.tokenizer, conversation)
    split = ids.index(scorer.tokenizer("<|assistant|>").input_ids[0]) + 1
    kept = ids[:1] + ids[split - 9 : split] + ids[split : split + 29] + ids[-1:]
    assert found.values["reward"][0] == pytest.approx(gpt_neox_reward(folder, kept), rel=1e-4)
    assert found.tokens[0] == len(ids)
    assert found.truncated_tokens[0] == len(ids) - 40


@pytest.mark.parametrize(
    ("build", "kind", "template"),
    [
        (tiny_models.neox_reward, "gpt_neox_reward", "oasst"),
        (tiny_models.deberta_reward, "sequence_classifier", "pair"),
        (tiny_models.qwen3_reward, "sequence_classifier", "chat"),
    ],
)
def test_rewards_depend_on_neither_batch_size_nor_order(
    build, kind, template, tmp_path, hand_made, scorer_of
):
    folder = build(tmp_path)
    options = {"template": template, "indicators": ("reward",)}
    alone = scorer_of(folder, kind, token_budget=1, **options).measure(hand_made)
    together = scorer_of(folder, kind, token_budget=4096, **options).measure(hand_made[::-1])
    assert together.values["reward"][::-1] == pytest.approx(
        alone.values["reward"], rel=1e-4, abs=1e-5
    )


def test_only_the_last_reply_and_its_history_are_read(tmp_path, hand_made, scorer_of):
    scorer = scorer_of(
        tiny_models.neox_reward(tmp_path),
        "gpt_neox_reward",
        template="oasst",
        indicators=("reward",),
    )
    conversation = hand_made[3]
    unanswered = [*conversation, {"role": "user", "content": "And more?"}]
    found = scorer.measure([conversation, unanswered, conversation[:3]]).values["reward"]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0] != pytest.approx(found[2], rel=1e-3)


def test_a_blank_last_reply_has_no_reward_whatever_was_said_before(tmp_path, hand_made, scorer_of):
    scorer = scorer_of(
        tiny_models.neox_reward(tmp_path),
        "gpt_neox_reward",
        template="oasst",
        indicators=("reward",),
    )
    found = scorer.measure([[*hand_made[0], {"role": "assistant", "content": " "}], hand_made[0]])
    assert found.reasons == ["the last assistant turn is blank", None]
    assert np.isnan(found.values["reward"]).tolist() == [True, False]


def test_a_model_that_gives_no_finite_number_gives_none(tmp_path, hand_made, scorer_of):
    scorer = scorer_of(
        tiny_models.deberta_reward(tmp_path),
        "sequence_classifier",
        template="pair",
        indicators=("reward",),
    )
    with torch.no_grad():
        scorer.model.classifier.bias.fill_(torch.inf)
    found = scorer.measure(hand_made[:2])
    assert np.isnan(found.values["reward"]).all()
    assert found.reasons == ["failed: the model gave no finite number"] * 2


def as_chat(tokenizer, conversation):
    text = tokenizer.apply_chat_template(conversation, tokenize=False)
    return tokenizer(text, return_tensors="pt")


def as_pair(tokenizer, conversation):
    history = "\n".join(m["content"] for m in conversation[:-1])
    options = {"return_tensors": "pt", "split_special_tokens": True}
    return tokenizer(history, conversation[-1]["content"], **options)


def one_by_one(folder, conversations, encode):
    """First logit of transformers' own classifier, one text per forward."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return [model(**encode(tokenizer, c)).logits[0, 0].item() for c in conversations]


def test_the_model_folder_is_written_as_open_assistant_wrote_it(tmp_path):
    folder = tiny_models.neox_reward(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "gpt_neox_reward_model"
    with pytest.raises(ValueError, match="gpt_neox_reward_model"):
        AutoModelForSequenceClassification.from_pretrained(folder)


@pytest.mark.parametrize(
    ("build", "kind", "template"),
    [
        (tiny_models.qwen3_reward, "sequence_classifier", "chat"),
        (tiny_models.neox_reward, "gpt_neox_reward", "oasst"),
        (tiny_models.deberta_reward, "sequence_classifier", "pair"),
    ],
)
def test_in_bfloat16_the_last_layer_rounds_no_two_rewards_to_one(
    build, kind, template, tmp_path, hand_made
):
    spec = ModelSpec(
        kind=kind, source=str(build(tmp_path)), template=template, indicators=("reward",)
    )
    found = load_scorer(resolve(spec), "cpu", "bfloat16").measure(hand_made).values["reward"]
    found = found[np.isfinite(found)]
    rounded = torch.tensor(found).bfloat16().double().numpy()
    assert (found != rounded).mean() > 0.8
