"""The bench's own judgement: ratios, gates, wrong answers, counts and known misses."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from rich.console import Console

from bench.harness import texts
from bench.harness.arms import LIMIT, Gate, Outcome, Suite, gemm_peak, machine, run
from bench.run import HERE, known, missed_gates, tables
from bench.speed import embedding, padding, perplexity


def outcome(cpu, gates=(), wrong=None, **options):
    suite = Suite("s", "rows", dict.fromkeys(cpu, int), "slow", flop=4e9, gates=gates, **options)
    return Outcome(suite, cpu, cpu, {"float32": [10.0, 20.0, 40.0]}, wrong or {})


def test_a_ratio_is_the_median_of_the_ratios_inside_the_repeats():
    found = outcome({"slow": [8.0, 90.0, 6.0], "ours": [2.0, 10.0, 3.0]}).faster("ours", "slow")
    assert (found.least, found.median, found.most) == (2.0, 4.0, 9.0)


def test_the_share_of_the_limit_takes_the_peak_of_its_own_repeat():
    found = outcome({"slow": [1.0, 1.0, 1.0]}).of_limit("slow")
    assert found == pytest.approx((0.1, 0.2, 0.4))


@pytest.mark.parametrize(("ours", "ok"), [([2.0, 2.0, 2.0], True), ([2.0, 5.0, 2.0], False)])
def test_a_gate_fails_if_any_repeat_was_not_faster(ours, ok):
    gates = [Gate("ours", "slow", 2.0)]
    [verdict] = outcome({"slow": [4.0, 4.0, 4.0], "ours": ours}, gates).verdicts()
    assert verdict.ok is ok
    assert verdict.figure == 2.0


def test_a_gate_on_a_wrong_answer_has_no_figure_and_is_never_excused():
    gates = [Gate("ours", "slow", 1.0), Gate("ours", LIMIT, 0.1)]
    found = outcome({"slow": [1.0]}, gates, {"ours": "off by one"}).verdicts()
    assert [v.figure for v in found] == [None, None]
    assert missed_gates(found, {v.gate: {} for v in found}) == [v.gate for v in found]


def test_a_known_miss_does_not_fail_the_run_and_another_does():
    gates = [Gate("ours", "slow", 9.0), Gate("ours", LIMIT, 0.9)]
    found = outcome({"slow": [4.0] * 3, "ours": [2.0] * 3}, gates).verdicts()
    assert missed_gates(found, {found[0].gate: {}}) == ["s: ours against the limit"]


def test_a_gate_in_a_precision_without_units_is_not_judged_and_a_wrong_answer_is():
    gates = [Gate("ours", "slow", 9.0), Gate("slow", "ours", 9.0), Gate("slow", LIMIT, 0.9)]
    times = {"slow": [4.0] * 3, "ours": [2.0] * 3}
    found = replace(outcome(times, gates, dtypes={"ours": "bfloat16"}), emulated={"bfloat16"})
    verdicts = found.verdicts()
    assert [(v.ok, v.judged) for v in verdicts] == [(True, False), (True, False), (False, True)]
    assert missed_gates(verdicts, {}) == ["s: slow against the limit"]
    console = Console(width=120, record=True)
    for table in tables(replace(found, peaks=found.peaks | {"bfloat16": [1.0, 1.0, 1.0]})):
        console.print(table)
    assert console.export_text().count("not on this machine") == 2
    [wrong] = replace(found, wrong={"ours": "off"}).verdicts()[:1]
    assert not wrong.ok


def test_a_gate_that_needs_units_of_a_cpu_is_judged_where_it_has_them():
    gates = [Gate("ours", "slow", 9.0, "amx_bf16"), Gate("ours", "slow", 9.0)]
    found = outcome({"slow": [4.0], "ours": [2.0]}, gates)
    assert [v.judged for v in found.verdicts()] == [False, True]
    assert [v.judged for v in replace(found, units={"amx_bf16"}).verdicts()] == [True, True]


def test_an_arm_that_takes_long_runs_once_and_is_compared_with_its_own_repeat():
    calls = []
    arms = {name: lambda name=name: calls.append(name) or 1.0 for name in ("a", "long")}
    found = run(Suite("s", "", arms, "a", flop=1.0, repeats=3, once=frozenset({"long"})))
    assert sorted(calls[:2]) == ["a", "long"]
    assert calls[2:] == ["a", "a"]
    assert (len(found.cpu["a"]), len(found.cpu["long"])) == (3, 1)
    timed = replace(found, cpu={"a": [2.0, 5.0, 5.0], "long": [8.0]})
    assert timed.faster("a", "long") == (4.0, 4.0, 4.0)


def test_figures_are_bounded_from_above_and_from_below():
    found = outcome(
        {},
        figures={"bytes": 5.0, "rows": 3.0},
        at_most={"bytes": 4.0, "rows": 4.0},
        at_least={"bytes": 5.0, "rows": 3.5},
    )
    assert [v.ok for v in found.verdicts()] == [False, True, True, False]


def test_every_arm_runs_once_per_repeat_in_changing_order_and_a_wrong_one_is_not_timed():
    calls = []

    def arm(name, answer):
        return lambda: calls.append(name) or answer

    arms = {"a": arm("a", 1.0), "b": arm("b", 1.05), "c": arm("c", 2.0), "d": arm("d", 1.0)}

    def same(answer, reference):
        return None if abs(answer - reference) < 0.1 else "too far"

    found = run(Suite("s", "", arms, "a", same, flop=1.0, repeats=6))
    orders = [tuple(calls[i : i + 4]) for i in range(0, 24, 4)]
    assert all(sorted(order) == ["a", "b", "c", "d"] for order in orders)
    assert len(set(orders)) > 1
    assert found.wrong == {"c": "too far"}
    assert {name: len(times) for name, times in found.cpu.items()} == {"a": 6, "b": 6, "d": 6}
    assert len(found.peaks["float32"]) == 6
    assert "too far" in tables(found)[0].columns[4]._cells


def test_the_peak_of_this_machine_is_above_a_gigaflop():
    assert gemm_peak("float32", tries=1) > 1
    assert machine()["cores"] >= 1


def test_padding_is_counted_by_hand():
    lengths = np.array([1, 4, 2, 2])
    assert padding.padded(lengths, [np.array([0, 1]), np.array([2, 3])]) == 12 / 9


def test_our_batches_pad_at_most_three_in_a_hundred_of_a_window(monkeypatch):
    monkeypatch.setattr(texts, "DATA", texts.DATA / "absent")
    _, rows = texts.window.__wrapped__()
    lengths = np.array([row.count(" ") + 1 for row in rows])
    found = padding.policies(lengths)
    assert all(value <= 1.03 for name, value in found.items() if name.startswith("ours"))
    assert found["all padded to the longest"] == lengths.max() / lengths.mean()
    assert found["file order, 32 rows"] > 2


def test_rows_spread_over_all_lengths_and_keep_their_order():
    chosen = texts.spread_out([5, 90, 1, 30, 7, 60], 3)
    assert chosen == sorted(chosen)
    assert {1, 2} <= set(chosen)


def test_work_counts_real_tokens_of_layers_attention_and_head():
    assert perplexity.flop([1]) == 6 * (24 * 512**2 + 2 * 512) + 2 * 512 * 50_304
    assert embedding.flop([2]) == 6 * (2 * 24 * 384**2 + 4 * 4 * 384)


def test_answers_outside_their_tolerance_say_by_how_much():
    assert perplexity.within(1e-4)(np.array([1.0]), np.array([1.00005])) is None
    assert "1.0e-03" in perplexity.within(1e-4)(np.array([1.0]), np.array([1.001]))
    one = np.array([[1.0, 0.0]])
    other = np.array([[0.6, 0.8]])
    assert embedding.like(0.99)(2 * one, one) is None
    assert "0.60000" in embedding.like(0.99)(other, one)


def test_every_known_miss_names_its_figure_and_its_reason():
    for entry in yaml.safe_load((HERE / "known.yml").read_text(encoding="utf-8")) or []:
        assert set(entry) == {"gate", "figure", "wanted", "reason"}
        assert entry["figure"] != entry["wanted"]
    assert set(known()) == {e["gate"] for e in known().values()}
