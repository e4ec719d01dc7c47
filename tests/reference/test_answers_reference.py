"""Answers in batches against the plainest loop: one prompt, no padding, no cache, the top token."""

import pytest
import tiny_models
import torch

from instructmining.models.lists import ModelSpec
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from udfs.finetuning.answers import answer
from udfs.finetuning.finetuner import Finetuner

MOST = 12
CONVERSATIONS = [
    [
        {"role": "user", "content": "Give three tips for staying healthy."},
        {"role": "assistant", "content": "Not shown to the model"},
    ],
    [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Not shown either"}],
    [
        {"role": "user", "content": "什么是首都？"},
        {"role": "assistant", "content": "巴黎"},
        {"role": "user", "content": "Explain why the sky is blue " * 3},
        {"role": "assistant", "content": "?"},
        {"role": "user", "content": "not answered"},
    ],
]


def finetuner(folder: str, template: str, budget: int = 4096, packing: bool = False) -> Finetuner:
    spec = ModelSpec(kind="causal_lm", source=folder, template=template, indicators=("perplexity",))
    recipe, how = Finetune(max_length=200), Measure(packing=packing)
    return Finetuner(spec, folder, "cpu", "float32", budget, recipe, how)


def prompt_text(name: str, conversation: list[dict[str, str]], model: Finetuner) -> list[int]:
    """The ids in front of the last assistant turn, written out by hand for each template."""
    last = max(i for i, m in enumerate(conversation) if m["role"] == "assistant")
    shown = conversation[:last]
    tokenizer = model.tokenizer
    if name == "chat":
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in shown)
        text += "<|im_start|>assistant\n<think>\n\n</think>\n\n"
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = [tokenizer.bos_token_id]
    for i, message in enumerate(shown):
        ids += tokenizer("\n", add_special_tokens=False)["input_ids"] if i else []
        ids += tokenizer(message["content"], add_special_tokens=False)["input_ids"]
        ids += [tokenizer.eos_token_id] if message["role"] == "assistant" else []
    return ids + tokenizer("\n", add_special_tokens=False)["input_ids"]


def plain_loop(model: Finetuner, ids: list[int], ends: set[int]) -> tuple[str, bool]:
    said: list[int] = []
    for _ in range(MOST):
        with torch.no_grad():
            top = int(model.model(torch.tensor([ids + said])).logits[0, -1].argmax())
        if top in ends:
            return model.tokenizer.decode(said, skip_special_tokens=True).strip(), True
        said.append(top)
    return model.tokenizer.decode(said, skip_special_tokens=True).strip(), False


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize(
    ("name", "build"), [("plain", tiny_models.llama), ("chat", tiny_models.qwen3)]
)
def test_batched_answers_are_those_of_the_plain_loop(name, build, packing, tmp_path) -> None:
    model = finetuner(str(build(tmp_path / name)), name, packing=packing)
    assert model.packed is packing
    ends = {model.tokenizer.eos_token_id, model.tokenizer.convert_tokens_to_ids("<|im_end|>")}
    ends = ends if name == "chat" else {model.tokenizer.eos_token_id}
    found = answer(model, CONVERSATIONS, MOST)
    expected = [plain_loop(model, prompt_text(name, each, model), ends) for each in CONVERSATIONS]
    assert [tuple(each) for each in found] == expected


def test_answers_do_not_depend_on_the_batches_and_change_with_the_weights(tmp_path) -> None:
    folder = str(tiny_models.llama(tmp_path / "llama"))
    alone = finetuner(folder, "plain", budget=1)
    together = finetuner(folder, "plain")
    before = answer(together, CONVERSATIONS, MOST)
    assert answer(alone, CONVERSATIONS, MOST) == before
    learnt = [[{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Paris"}]] * 16
    rate = Finetune(max_length=200, epochs=6, batch_rows=8, rate=1e-2)
    taught = Finetuner(
        ModelSpec(kind="causal_lm", source=folder, template="plain", indicators=("perplexity",)),
        folder,
        "cpu",
        "float32",
        4096,
        rate,
    )
    taught.run(learnt, {}, seed=0)
    assert answer(taught, CONVERSATIONS[1:2], MOST)[0] == ("Paris", True)


def test_a_draw_is_repeated_by_its_seed(tmp_path) -> None:
    model = finetuner(str(tiny_models.llama(tmp_path / "llama")), "plain")
    one, two, other = (answer(model, CONVERSATIONS, MOST, 1.0, seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_the_start_of_a_prompt_that_is_too_long_is_cut(tmp_path) -> None:
    model = finetuner(str(tiny_models.llama(tmp_path / "llama")), "plain")
    long = [
        {"role": "user", "content": "x y z " * 400 + "Why?"},
        {"role": "assistant", "content": "-"},
    ]
    assert len(answer(model, [long, *CONVERSATIONS], MOST)) == 4


def test_a_models_own_ways_of_drawing_do_not_bend_the_likeliest_token(tmp_path) -> None:
    folder = tiny_models.llama(tmp_path / "llama")
    plain = [each.text for each in answer(finetuner(str(folder), "plain"), CONVERSATIONS, MOST)]
    (folder / "generation_config.json").write_text('{"repetition_penalty": 5.0}')
    model = finetuner(str(folder), "plain")
    assert model.model.generation_config.repetition_penalty == 5.0
    assert [each.text for each in answer(model, CONVERSATIONS, MOST)] == plain
