"""Two real processes share one finetune: what they come to is what one comes to; no Spark."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from torch import distributed, multiprocessing
from transformers import AutoModelForCausalLM

from instructmining.models.lists import ModelSpec
from instructmining.settings.learning import Finetune
from udfs.finetuning.finetuner import Finetuner, Outcome
from udfs.finetuning.sharding import ShardedFinetuner, shares


def said(prompt: str, response: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


# Replies of unlike lengths, so that a mean of the processes' means is another number; 25 rows in
# steps of 8 end with a single one, of which the second process has none.
ROWS = [said(f"Say {i}.", f"The sky is blue, {i} times. " * (1 + i % 3)) for i in range(25)]
HELD_OUT = {
    "blue": [
        said("And now?", "The sky is blue, 99 times."),
        said("天空?", "蓝色的"),
        said("Long?", "Yes. " * 9),
    ],
    "one": [said("Alone?", "Quite.")],
}
CASES = {
    "full": {},
    "small budget": {"budget": 100},
    "lora": {"adapter": "lora", "lora_rank": 4, "rate": 3e-2},
    "bfloat16": {"dtype": "bfloat16"},
    "base": {"rows": []},
    "broken": {"rate": 1e30, "warm_up": 0.0},
}


def finetuner(case: dict, folder: str, sharded: bool) -> Finetuner:
    given = {"epochs": 2, "batch_rows": 8, "rate": 3e-3, "max_length": 64, **case}
    dtype = given.pop("dtype", "float32")
    budget = given.pop("budget", 512)
    given.pop("rows", None)
    spec = ModelSpec(kind="causal_lm", source=folder, template="plain", indicators=("perplexity",))
    recipe = Finetune(**given)
    if not sharded:
        return Finetuner(spec, folder, "cpu", dtype, budget, recipe)
    one_of_two = ShardedFinetuner(spec, folder, dtype, budget, recipe)
    one_of_two.shard("cpu")
    return one_of_two


def run(case: dict, folder: str, sharded: bool) -> Outcome:
    return finetuner(case, folder, sharded).run(case.get("rows", ROWS), HELD_OUT, 3)


def process(rank: int, folder: str, store: str, written: str) -> None:
    """One of two; what every case came to in it is written down."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", store=distributed.FileStore(store, 2), rank=rank, world_size=2
    )
    model = finetuner({}, folder, sharded=True).model
    found = {"held": sum(p.to_local().numel() for p in model.parameters())}
    for name, case in CASES.items():
        try:
            found[name] = vars(run(case, folder, sharded=True))
        except ArithmeticError as error:
            found[name] = str(error)
    Path(f"{written}{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("shared")
    tiny_models.llama(place / "llama")
    return place


@pytest.fixture(scope="module")
def found(place) -> list[dict]:
    multiprocessing.spawn(process, (str(place / "llama"), str(place / "store"), f"{place}/"), 2)
    return [json.loads((place / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("full", 1e-5),
        ("small budget", 1e-5),
        ("lora", 1e-4),
        ("bfloat16", 2e-3),
        ("base", 1e-5),
    ],
)
def test_two_processes_come_to_what_one_comes_to(place, found, name, tolerance):
    one = run(CASES[name], str(place / "llama"), sharded=False)
    two = found[0][name]
    assert two["losses"] == pytest.approx(one.losses, rel=tolerance)
    assert two["train_loss"] == pytest.approx(one.train_loss, rel=tolerance, nan_ok=True)
    for same in ("evaluated", "tokens", "read", "steps", "unused"):
        assert two[same] == getattr(one, same)
    if name != "base":  # it has learnt something, and more than what the tolerance hides
        base = found[0]["base"]["losses"]["blue"]
        assert abs(one.losses["blue"] - base) > tolerance * base


def test_every_process_knows_the_result(found):
    for name in ("full", "small budget", "lora", "bfloat16"):
        ours, theirs = ({**each[name], "seconds": 0} for each in found)
        assert ours == theirs


def test_a_rate_that_breaks_the_model_is_seen_by_all_processes_at_once(found):
    assert ["lower finetune.rate" in each["broken"] for each in found] == [True, True]


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_every_row_counts_once_and_no_process_waits_for_a_call(processes):
    lengths = np.random.default_rng(0).integers(1, 60, 17)
    dealt = shares(lengths, 100, processes)
    counted = [row for each in dealt for share in each if share.counts for row in share.rows]
    assert sorted(counted) == list(range(17))
    assert len({len(each) for each in dealt}) == 1
    assert len(dealt) == processes
    tokens = [len(s.rows) * lengths[s.rows].max() for each in dealt for s in each if s.counts]
    assert max(tokens) <= 100


def test_one_row_among_three_processes_is_read_by_all_and_counted_by_one():
    dealt = shares([7], 100, 3)
    assert [[(list(s.rows), s.counts) for s in each] for each in dealt] == [
        [([0], True)],
        [([0], False)],
        [([0], False)],
    ]


def test_a_process_holds_its_share_and_not_the_model(place, found):
    model = AutoModelForCausalLM.from_pretrained(place / "llama")
    whole = sum(p.numel() for p in model.parameters())
    held = [each["held"] for each in found]
    assert sum(held) == whole
    assert max(held) < 0.6 * whole
