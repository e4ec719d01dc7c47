"""What runs that are left will take, from runs whose cost a formula gives."""

from types import SimpleNamespace

import pytest

from instructmining.finetunes.runs import PlannedRun
from instructmining.settings.learning import Finetune
from jobs.finetuning.pace import Pace

PER_TOKEN = 0.01  # seconds
PER_STEP = 0.5
CHARACTERS = 4  # of a token
RECIPE = Finetune(epochs=2, batch_rows=4, max_length=100)
ASKED = [400, 200]
TEXTS = {f"{length}-{i}": length for length in (40, 80, 200, 4000) for i in range(8)}


def run(length: int, rows: int = 8) -> PlannedRun:
    ids = tuple(f"{length}-{i}" for i in range(rows))
    return PlannedRun(f"{length} {rows}", "s", ids, 0, {}, {})


def tokens(of: PlannedRun) -> int:
    """Of one epoch, as far as they are read."""
    return sum(min(TEXTS[i] // CHARACTERS, RECIPE.max_length) for i in of.ids)


def seconds(of: PlannedRun) -> float:
    steps = RECIPE.epochs * -(-len(of.ids) // RECIPE.batch_rows)
    asked = sum(ASKED) / CHARACTERS
    return PER_TOKEN * (asked + 3 * RECIPE.epochs * tokens(of)) + PER_STEP * steps


def row(of: PlannedRun, slower: float = 1.0) -> SimpleNamespace:
    took = slower * seconds(of)
    return SimpleNamespace(run_key=of.key, seconds=took, read_tokens=RECIPE.epochs * tokens(of))


def learned(*runs: PlannedRun, waste: float = 1.0, slots: int = 1) -> Pace:
    """Each run was a wave of its own that took `waste` times what the run did."""
    pace = Pace(RECIPE, TEXTS, ASKED, slots)
    for one in runs:
        pace.learn([one], [row(one)], waste * seconds(one))
    return pace


def test_runs_of_other_lengths_are_estimated_by_their_tokens_and_steps():
    pace = learned(*[run(length, rows) for length in (40, 80) for rows in (4, 8)] * 3)
    left = [run(200), run(200, 3), run(40)]
    assert pace.estimate(left) == pytest.approx(sum(map(seconds, left)), rel=0.1)
    assert pace.estimate(left) != pytest.approx(3 * pace.per_run(), rel=0.3)


def test_characters_behind_the_cut_are_not_paid_for():
    pace = learned(run(40), run(80), run(4000), run(200))
    assert pace.estimate([run(4000)]) == pytest.approx(seconds(run(4000)), rel=0.1)


def test_what_a_wave_takes_beside_its_runs_is_counted():
    once = learned(run(40), run(80)).estimate([run(80)])
    assert learned(run(40), run(80), waste=1.5).estimate([run(80)]) == pytest.approx(1.5 * once)
    assert learned(run(40), run(80), slots=2).estimate([run(80)]) == pytest.approx(once / 2)


def test_loading_the_model_is_not_expected_again():
    pace = Pace(RECIPE, TEXTS, ASKED, 2)
    both = [run(40), run(80)]
    pace.learn(both, list(map(row, both)), 500.0, loads=True)
    assert pace.estimate(both) == pytest.approx(sum(map(seconds, both)) / 2, rel=0.2)


def test_runs_that_are_all_alike_are_estimated_by_what_one_took():
    pace = learned(*[run(80)] * 4)
    assert pace.estimate([run(80)] * 5) == pytest.approx(5 * seconds(run(80)))
    assert pace.estimate([run(200)]) > 2 * seconds(run(80))


def test_the_latest_runs_decide_when_the_machine_becomes_slower():
    pace = learned(*[run(80)] * 20)
    for _ in range(16):
        pace.learn([run(80)], [row(run(80), 3.0)], 3 * seconds(run(80)))
    assert pace.estimate([run(80)]) == pytest.approx(3 * seconds(run(80)))


def test_short_runs_share_a_wave_once_an_estimate_was_said():
    short = run(40)
    assert seconds(short) < 15
    assert learned(*[short] * 3, slots=2).width() == 2
    assert learned(*[short] * 4, slots=2).width() == 2 * int(60 / seconds(short))
    assert learned(*[short] * 4, slots=2, waste=100.0).width() == 2


def test_runs_that_failed_cost_their_share_of_the_wave():
    pace = Pace(RECIPE, TEXTS, ASKED, 2)
    assert pace.estimate([run(80)]) == 0
    failed = SimpleNamespace(run_key=run(80).key, seconds=None, read_tokens=None)
    pace.learn([run(80), run(40)], [failed], 6.0)
    assert (pace.counted, pace.per_run()) == (2, 6.0)
    assert pace.estimate([run(80), run(40)]) == pytest.approx(6.0, rel=0.4)


def test_the_base_model_alone_is_evaluated_and_nothing_else():
    base = PlannedRun("base", "base", (), 0, {}, {})
    pace = learned(base, base)
    assert pace.estimate([base]) == pytest.approx(seconds(base))
