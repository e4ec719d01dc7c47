"""The quality scorer on a tiny random encoder: the machinery, not the shipped weights."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.indicators.quality import QualityScorer
from udfs.indicators.quality_model import HEADS, QualityModel, load_base, pair, save_quality_model
from udfs.running.measurement import Runtime

SPEC = ModelSpec(kind="quality_heads", source="here", base="there", indicators=HEADS)
VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] why is the sky blue short waves of light are
scattered more than long ones ? . na ##me"""
CONFIG = {
    "model_type": "quality_heads",
    "layers": 1,
    "max_length": 24,
    "response_room": 12,
    "cls_id": 2,
    "sep_id": 3,
    "pad_id": 0,
    "reward_mean": 0.5,
    "reward_std": 2.0,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A two-layer base model and a quality model that uses and trains its first layer."""
    base = tmp_path_factory.mktemp("base")
    own = tmp_path_factory.mktemp("own")
    torch.manual_seed(5)
    vocabulary = VOCABULARY.split()
    (base / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(base / "vocab.txt")).save_pretrained(base)
    shape = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.3,
        max_position_embeddings=64,
    )
    BertModel(shape).save_pretrained(base)
    model = QualityModel(load_base(SPEC, Runtime(base=str(base)), 1))
    for parameter in model.encoder.encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_quality_model(model, CONFIG, own)
    return str(own), str(base)


@pytest.fixture(scope="module")
def scorer(folders):
    return QualityScorer(SPEC, Runtime(*folders))


def conversation(prompt, response):
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


ROWS = [
    conversation("why is the sky blue ?", "short waves of light are scattered more ."),
    conversation("why ?", "light ."),
    conversation("the sky is blue " * 9, "waves are short"),
    conversation("why is the sky blue ?", "light waves " * 20),
    conversation("warum ist der himmel blau ?", "天空 是 蓝色 的"),
]


def test_rows_without_a_reply_get_a_reason_and_cost_the_others_nothing(scorer):
    broken = [
        [{"role": "user", "content": "why ?"}],
        conversation("why ?", "  "),
        [*conversation("why ?", "light ."), *conversation("is the sky blue ?", " ")],
        [],
        conversation("why ?", "\u200b"),  # not blank, and nothing of it is left as a token
    ]
    found = scorer.measure([*broken, ROWS[0]])
    assert found.reasons[:5] == [
        "no assistant turn",
        "every assistant turn is blank",
        "the last assistant turn is blank",
        "no messages",
        "no response tokens",
    ]
    assert found.reasons[5] is None
    alone = scorer.measure([ROWS[0]])
    for name in HEADS:
        assert np.isnan(found.values[name][:5]).all()
        assert found.values[name][5] == pytest.approx(alone.values[name][0], rel=1e-5)


@pytest.mark.parametrize("token_budget", [1, 60, 4096])
def test_values_do_not_depend_on_batching_or_order(folders, scorer, token_budget):
    other = QualityScorer(SPEC, Runtime(*folders, token_budget=token_budget))
    forward = scorer.measure(ROWS)
    backward = other.measure(ROWS[::-1])
    for name in HEADS:
        assert backward.values[name][::-1] == pytest.approx(forward.values[name], rel=1e-4)
        assert len(set(forward.values[name].round(6))) == len(ROWS)


def test_only_the_turns_up_to_the_last_reply_are_read(scorer):
    longer = [*ROWS[0], {"role": "user", "content": "why are waves short ?"}]
    assert scorer.measure([longer]).values["reward"] == pytest.approx(
        scorer.measure([ROWS[0]]).values["reward"]
    )


def test_the_history_changes_the_score(scorer):
    other = conversation("why is light blue ?", ROWS[0][1]["content"])
    assert scorer.measure([other]).values["reward"][0] != pytest.approx(
        scorer.measure([ROWS[0]]).values["reward"][0], rel=1e-3
    )


def test_values_equal_a_computation_without_our_scorer(folders, scorer):
    own, base = folders
    tokenizer = BertTokenizer.from_pretrained(base)
    encoder = BertModel.from_pretrained(base)
    from safetensors.torch import load_file

    weights = load_file(f"{own}/model.safetensors")
    encoder.encoder.layer = encoder.encoder.layer[:1]
    encoder.load_state_dict(
        {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")},
        strict=False,
    )
    read = tokenizer(ROWS[0][0]["content"], ROWS[0][1]["content"], return_tensors="pt")
    with torch.no_grad():
        hidden = encoder.eval()(**read).last_hidden_state[0]
        types = read["token_type_ids"][0].bool()
        prompt = hidden[~types].mean(0)
        response = hidden[types].mean(0)
        x = torch.cat(
            [hidden[0], response, prompt * response, (prompt - response).abs(), hidden[-1]]
        )
        h = {k.removeprefix("heads."): v for k, v in weights.items() if k.startswith("heads.")}
        x = torch.nn.functional.layer_norm(x, x.shape, h["0.weight"], h["0.bias"])
        x = torch.nn.functional.gelu(h["1.weight"] @ x + h["1.bias"])
        logits = h["3.weight"] @ x + h["3.bias"]
    values = scorer.measure([ROWS[0]]).values
    assert values["reward"][0] == pytest.approx((logits[0].item() - 0.5) / 2.0, rel=1e-4)
    for k, name in enumerate(HEADS[1:], start=1):
        assert values[name][0] == pytest.approx(torch.sigmoid(logits[k]).item(), rel=1e-4)


def test_a_cut_keeps_the_end_of_the_prompt_and_the_start_of_the_response():
    both = pair(range(100, 140), range(200, 240), CONFIG)
    assert both.ids == [2, *range(131, 140), 3, *range(200, 212)]
    assert both.types == [0] * 11 + [1] * 12
    assert both.read == 21
    assert pair(range(100, 140), [200], CONFIG).ids == [2, *range(120, 140), 3, 200, 3]
    assert pair([100], range(200, 240), CONFIG).ids == [2, 100, 3, *range(200, 220)]


def test_cut_tokens_are_counted(scorer):
    found = scorer.measure(ROWS[:4])
    assert found.tokens.tolist() == [14, 4, 39, 46]
    assert found.truncated_tokens.tolist() == [0, 0, 18, 46 - 21]


def test_embedding_weights_are_not_stored_again(folders):
    from safetensors import safe_open

    with safe_open(f"{folders[0]}/model.safetensors", "pt") as file:
        assert not [name for name in file.keys() if "embeddings" in name]  # noqa: SIM118


def test_bfloat16_stays_near_float32(folders, scorer):
    rough = QualityScorer(SPEC, Runtime(*folders, dtype="bfloat16")).measure(ROWS).values
    for name, values in scorer.measure(ROWS).values.items():
        assert rough[name] == pytest.approx(values, abs=0.1)


def test_what_does_not_fit_is_refused_with_a_clear_sentence(folders, tmp_path):
    own, base = folders
    with pytest.raises(UserError, match="needs `base`"):
        QualityScorer(SPEC, Runtime(own))
    with pytest.raises(UserError, match=r"no model\.safetensors"):
        QualityScorer(SPEC, Runtime(str(tmp_path), base))
    with pytest.raises(UserError, match="not 'charm'"):
        QualityScorer(SPEC.model_copy(update={"indicators": ("charm",)}), Runtime(own, base))
    shutil.copy(f"{own}/model.safetensors", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"layers": 2}))
    with pytest.raises(UserError, match="do not fit"):
        QualityScorer(SPEC, Runtime(str(tmp_path), base))
