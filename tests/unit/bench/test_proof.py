"""The proof's pools and pages; the runs themselves are long."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from bench.harness.clean_shares import Chosen, shares_page
from bench.harness.dirty_rows import CLEAN, DIRT, draw, write_held_out, write_pool
from bench.harness.proof_arms import ARMS, Measured
from bench.harness.proof_page import choice_page, pool_page
from bench.harness.response_choice import Rights
from instructmining.evaluating.arms import BASE, ORACLE
from instructmining.evaluating.seeds_and_prompts import PromptLosses
from instructmining.identity import example_id, half
from instructmining.judging.response_options import response_options
from instructmining.packaged import conf_folder
from instructmining.settings.learning import Finetune as FinetuneSettings
from training.data import Example
from udfs.finetuning.choices import choose
from udfs.finetuning.finetuner import Finetuner
from udfs.indicators import load_model_list, resolve


@pytest.fixture(scope="module")
def drawn():
    questions = (f"What is thing {n} made of, and who found it?" for n in range(3000))
    made = []
    for n, question in enumerate(questions):
        answer = f"Thing {n} is made of {n % 7} parts of iron, as somebody found in {1500 + n}."
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        if half(example_id(messages)) == 1:
            made.append(Example("things", example_id(messages), messages))
    return draw(made, rows=100, held_out=50, seed=0)


def rows_of(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_pool_has_the_share_of_dirt_of_every_kind_and_half_1_alone(drawn, tmp_path):
    write_pool(drawn, tmp_path / "pool.jsonl", dirty=0.4, seed=0)
    rows = rows_of(tmp_path / "pool.jsonl")
    assert Counter(row["label"] for row in rows) == {CLEAN: 60, **dict.fromkeys(DIRT, 4)}
    assert {half(example_id(row["messages"])) for row in rows} == {1}


def test_a_pool_of_more_dirt_holds_the_dirt_of_one_of_less(drawn, tmp_path):
    spoiled = []
    for dirty in (0.2, 0.4):
        write_pool(drawn, tmp_path / "pool.jsonl", dirty, seed=0)
        rows = rows_of(tmp_path / "pool.jsonl")
        spoiled.append({json.dumps(row) for row in rows if row["label"] != CLEAN})
    assert len(spoiled[0]) == 20
    assert spoiled[0] < spoiled[1]


def test_what_is_measured_on_is_in_no_pool(drawn, tmp_path):
    write_pool(drawn, tmp_path / "pool.jsonl", dirty=0.4, seed=0)
    write_held_out(drawn, tmp_path / "held_out.jsonl")
    responses = [
        {row["messages"][-1]["content"] for row in rows_of(tmp_path / name)}
        for name in ("pool.jsonl", "held_out.jsonl")
    ]
    assert len(responses[1]) == 50
    assert not responses[0] & responses[1]


def test_shares_are_of_the_rows_that_a_selector_takes():
    pool = Counter({CLEAN: 60, "html": 40})
    chosen = Chosen(
        pool, {"longest": Counter({CLEAN: 1, "html": 3})}, Counter({"html": 30, CLEAN: 6})
    )
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in shares_page({"things, 40 % spoiled": chosen}).splitlines()
    ]
    assert ["all rows", "60.0", ""] in cells
    assert ["longest", "25.0", "html 3"] in cells
    assert ["html", "75"] in cells
    assert [CLEAN, "10"] in cells


def test_the_page_says_what_each_arm_closes_and_beats():
    """Ours is half of the way to the oracle; the other arms lose as much as random."""
    names = [*ARMS, BASE]
    level = dict.fromkeys(names, 3.0) | {ORACLE: 2.0, "floor, quality": 2.5}
    noise = np.random.default_rng(0).normal(0, 0.01, (4, 30))
    losses = {(name, seed): level[name] * (1 + noise[seed]) for name in names for seed in range(4)}
    frame = pd.DataFrame(
        [("own", name, seed, values.mean()) for (name, seed), values in losses.items()],
        columns=["evaluation", "arm", "seed", "loss"],
    )
    facts = pd.DataFrame({"clean": 1.0, "tokens": 1000.0}, index=names)
    page = pool_page("things", Measured(frame, {"own": PromptLosses(losses, np.ones(30))}, facts))
    lines = page.splitlines()
    quality = next(line for line in lines if line.startswith("| floor, quality"))
    assert "| 0.50 [" in quality
    assert "<0.001" in quality
    assert any("floor, quality beats longest by 0.50" in line for line in lines)
    assert any("no detectable difference between floor, rule and random" in line for line in lines)


def conversation(asked, reply):
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]


def wrong(finetuner, pairs):
    """How many conversations have another response taken than their own."""
    own = [reply["content"] for _, reply in pairs]
    taken = choose(finetuner, pairs, response_options(own), explained=True)
    return sum(one != other for one, other in zip(taken, own, strict=True))


def test_a_model_takes_the_response_that_belongs_to_the_prompt_more_often_than_chance():
    """The embedded model on the sample; chance takes a quarter."""
    records = json.loads((conf_folder() / "sample" / "alpaca.json").read_text(encoding="utf-8"))
    pairs = [
        conversation(record["instruction"], record["output"])
        for record in records
        if record.get("language") == "en" and 80 < len(record.get("output", "")) < 400
    ][:32]
    model = resolve(load_model_list("embedded").stages["perplexity"])
    finetuner = Finetuner(model.spec, model.folder, "cpu", "float32", 2048, FinetuneSettings())
    assert len(pairs) == 32
    assert wrong(finetuner, pairs) <= 16
    turned = [
        [one[0], other[1]] for one, other in zip(pairs, [*pairs[16:], *pairs[:16]], strict=True)
    ]
    assert wrong(finetuner, turned) >= 20


def test_the_page_of_choices_shows_shares_of_right_ones_and_points_that_are_better_above_zero():
    random = np.random.default_rng(0)
    share = {arm: 0.7 if arm == ORACLE else 0.5 for arm in (*ARMS, BASE)}
    single = {
        (arm, seed): 100.0 * (random.uniform(size=200) < share[arm])
        for arm in (*ARMS, BASE)
        for seed in range(4)
    }
    rows = [("things", arm, seed, one.mean()) for (arm, seed), one in single.items()]
    losses = pd.DataFrame(rows, columns=["evaluation", "arm", "seed", "loss"])
    page = choice_page(Rights(losses, {"things": PromptLosses(single, np.ones(200))}))
    line = next(line for line in page.splitlines() if line.startswith(f"| {ORACLE}"))
    right, minus_random = (cell.strip() for cell in line.split("|")[2:4])
    assert 65 < float(right.split()[0]) < 75
    assert 10 < float(minus_random.split()[0]) < 30
    assert "4 seeds, 200 prompts" in page
