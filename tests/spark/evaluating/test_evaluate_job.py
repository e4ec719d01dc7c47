"""The evaluate job end to end: a planted winner, a null case, resuming, judged answers."""

import io
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judge_server import completion, running
from planted_pool import WORDS, evaluation, example, settings, write
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import FailedRowsError, UserError
from instructmining.evaluating.comparison import verdicts
from instructmining.store.tables import Store
from instructmining.tracking.mlflow_runs import connection
from jobs.evaluating.run import Evaluated, run
from jobs.selecting.run import run as select

pytestmark = pytest.mark.slow

EXTRA = {"clean": "quality = 'good'", "also": ("random_balanced",)}


@pytest.fixture(scope="module")
def evaluated(spark: SparkSession, folder: Path) -> Evaluated:
    found = run(spark, evaluation(folder, {"seeds": 2}, **EXTRA))
    assert isinstance(found, Evaluated)
    return found


def test_a_planted_winner_is_found_on_every_evaluation_set(evaluated: Evaluated) -> None:
    rows = evaluated.differences.set_index(["evaluation", "arm", "rival"])
    for name in ("asked", "other"):
        row = rows.loc[name, "selected", "random"]
        assert row["high"] < 0, evaluated.page
        assert row["prompts"] > 1
        assert f"{name}: selected closes " in evaluated.page
    said = evaluated.page.split("## Mean loss")[0]
    assert all(sentence in said for sentence in verdicts(evaluated.differences))
    assert all(
        "beats" not in line or "p = 0.0" in line or "p = <0.001" in line
        for line in said.splitlines()
    )


def test_the_plan_is_on_the_page_and_the_oracle_draws_clean_rows_alone(
    evaluated: Evaluated, spark: SparkSession, folder: Path
) -> None:
    assert "## Planned before the first run" in evaluated.page
    assert "2 seeds see a difference of " in evaluated.page
    oracle = evaluated.outcomes.query("arm == 'oracle'")["run_key"]
    store = Store.open(spark, str(folder / "store"))
    runs = store.read("finetuning_runs").where(F.col("run_key").isin(list(oracle)))
    members = runs.join(store.read("subsets"), "subset").select("example_id")
    texts = members.join(store.read("examples"), "example_id").select("response").toPandas()
    assert len(texts) == 48
    assert all(set(text.split()) <= set(WORDS) for text in texts["response"])
    stored = runs.select("prompt_losses", "prompt_tokens", "losses").first()
    weights = np.array(stored.prompt_tokens["asked"])
    mean = np.array(stored.prompt_losses["asked"]) @ weights / weights.sum()
    assert mean == pytest.approx(stored.losses["asked"], rel=1e-6)
    for condition, complaint in (
        ("colour = 'red'", "--clean .* the columns are example_id, quality"),
        ("quality =", "--clean .* is not a condition in SQL"),
    ):
        with pytest.raises(UserError, match=complaint):
            run(spark, evaluation(folder, clean=condition))


def test_every_arm_is_there_at_every_seed_with_equal_steps(evaluated: Evaluated) -> None:
    counts = evaluated.outcomes.groupby("arm")["seed"].count()
    assert dict(counts) == dict.fromkeys(
        ("selected", "diverse", "random", "longest", "full", "oracle", "random_balanced"), 2
    )
    assert set(evaluated.outcomes["steps"]) == {6}  # two epochs of 24 examples, 8 a step
    full = evaluated.outcomes.query("arm == 'full'")
    assert set(full["examples"]) == {48}  # each seen once


def test_what_overlaps_with_an_evaluation_set_is_in_no_arm(
    evaluated: Evaluated, spark: SparkSession, folder: Path
) -> None:
    store = Store.open(spark, str(folder / "store"))
    copied = store.read("examples").where("prompt = 'Say it once more'").first()
    used = store.read("subsets").where(f"example_id = '{copied.example_id}'")
    assert used.isEmpty()
    assert (
        "1 examples are left out of every arm: they share 8 words in a row (1 with asked, "
        "0 with other)" in evaluated.page
    )


def test_the_tables_hold_what_the_page_says(
    evaluated: Evaluated, spark: SparkSession, folder: Path
) -> None:
    store = Store.open(spark, str(folder / "store"))
    stored = store.read("comparisons").toPandas()
    columns = ["evaluation", "arm", "rival", "difference", "low", "high", "p"]
    merged = evaluated.differences[columns].merge(stored[columns], on=columns[:3])
    assert len(merged) == len(evaluated.differences) == 16
    assert merged["difference_x"].tolist() == pytest.approx(merged["difference_y"].tolist())
    assert all(sentence in evaluated.page for sentence in stored["verdict"])
    arms = store.read("arms").join(store.read("finetuning_runs"), "run_key")
    assert arms.groupBy("arm").count().count() == 7


def test_answers_are_stored_and_judged_by_the_reward_model(
    evaluated: Evaluated, spark: SparkSession, folder: Path
) -> None:
    store = Store.open(spark, str(folder / "store"))
    answers = store.read("answers").toPandas()
    assert len(answers) == 2 * 2 * 2 * 3  # arms, seeds, evaluation sets, prompts
    assert not answers.duplicated(["run_key", "evaluation", "example_id"]).any()
    verdicts = store.read("verdicts").where("margin IS NOT NULL").toPandas()
    known = set(WORDS)
    texts = answers.set_index(["run_key", "example_id"])["answer"]
    for row in verdicts.itertuples():
        own, theirs = (
            sum(word in known for word in texts[key, row.example_id].split())
            for key in (row.first_run, row.second_run)
        )
        assert row.margin == own - theirs
    assert [judged.tally.n for judged in evaluated.judged] == [6, 6]  # three prompts, two seeds
    assert "answers to asked, judged by reward: " in evaluated.page


def test_arms_of_the_same_examples_show_no_detectable_difference(
    evaluated: Evaluated, spark: SparkSession, folder: Path
) -> None:
    null = run(spark, evaluation(folder, {"kind": "none"}, top=64))
    said = [line for line in null.page.splitlines() if line.startswith("- asked: ")]
    assert len(said) == 6
    said = [line for line in said if " base" not in line]
    assert len(said) == 4
    assert all("no detectable difference" in line and "+0.0000" in line for line in said)
    assert null.judged == []


def test_an_endpoint_judges_in_both_orders_and_nothing_is_done_twice(
    evaluated: Evaluated, spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    store = Store.open(spark, str(folder / "store"))
    versions = [store.version(table) for table in ("finetuning_runs", "answers", "subsets")]
    with running() as server:
        server.replies = [lambda body: completion("[[A]]", 7)]  # it always favours the first place
        judge = {"kind": "endpoint", "url": server.url, "model": "biased"}
        judged = evaluation(folder, judge, **EXTRA)
        first = run(spark, judged)
        asked = len(server.seen)
        again = run(spark, judged)
        assert len(server.seen) == asked
    pairs = sum(judged.tally.n for judged in first.judged)
    assert pairs == 6
    assert asked % 2 == 0
    assert 2 <= asked <= 2 * pairs  # equal answers are a tie without a question
    assert all(judged.tally.tie == judged.tally.n for judged in first.judged)
    assert [each.tally for each in again.judged] == [each.tally for each in first.judged]
    assert (again.spent.runs, again.spent.failed) == (0, {})
    assert versions == [store.version(t) for t in ("finetuning_runs", "answers", "subsets")]
    pd.testing.assert_frame_equal(again.differences, evaluated.differences)
    matched = run(spark, evaluation(folder, {"kind": "match"}, **EXTRA))
    assert (matched.spent.runs, [each.tally.n for each in matched.judged]) == (0, [3, 3])
    assert "; right answers: selected " in matched.page


def test_options_are_taken_by_their_likelihood(spark: SparkSession, folder: Path) -> None:
    drawn = random.Random(11)
    asked = []
    for number in range(4):
        options = [example(drawn, place == number % 2)["output"] for place in range(2)]
        lines = "\n".join(f"{label}) {text}" for label, text in zip("AB", options, strict=True))
        question = {"instruction": f"Which of them, {number}?\n{lines}", "input": ""}
        asked.append({**question, "output": options[number % 2]})
    sets = (f"pick={write(folder / 'pick.jsonl', asked)}",)
    done = run(spark, evaluation(folder, {"kind": "choice", "prompts": 4}, evaluation=sets))
    assert isinstance(done, Evaluated)
    assert [each.tally.n for each in done.judged] == [4]
    assert "likeliest option" in done.judged[0].sentence
    assert "; right answers: selected 4 of 4, random " in done.page


def test_a_response_is_chosen_among_those_of_other_prompts(
    spark: SparkSession, folder: Path
) -> None:
    drawn = random.Random(13)
    asked = [example(drawn, True) for _ in range(5)]
    sets = (f"own={write(folder / 'own.jsonl', asked)}",)
    done = run(spark, evaluation(folder, {"kind": "response", "prompts": 5}, evaluation=sets))
    assert isinstance(done, Evaluated)
    assert [each.tally.n for each in done.judged] == [5]
    assert "judged by choice among responses: " in done.judged[0].sentence
    assert "; own responses taken: selected " in done.page


def test_only_references_with_a_form_are_answered_and_counted(
    spark: SparkSession, folder: Path
) -> None:
    drawn = random.Random(12)
    asked = [{**example(drawn, True), "output": f"1. {word}\n2. {word}"} for word in WORDS[:3]]
    sets = (f"lists={write(folder / 'lists.jsonl', [*asked, example(drawn, True)])}",)
    done = run(spark, evaluation(folder, {"kind": "form", "prompts": 9}, evaluation=sets))
    assert isinstance(done, Evaluated)
    assert [each.tally.n for each in done.judged] == [3]
    assert "judged by the reference's form: " in done.judged[0].sentence
    assert "; answers in the reference's form: selected " in done.page


def test_a_judge_that_refuses_is_told_below_the_losses_that_were_paid_for(
    evaluated: Evaluated,
    spark: SparkSession,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    tracking = {"uri": f"sqlite:///{folder}/refused.db"}
    with running() as server:
        server.replies = [(401, "", {})]
        judge = {"kind": "endpoint", "url": server.url, "model": "locked"}
        given = settings(
            folder,
            tracking=tracking,
            fit={"budget_minutes": 1e-5},
            judge=judge,
            evaluate=evaluation(folder).evaluate.model_dump(),
        )
        with pytest.raises(UserError, match="HTTP 401") as refusal:
            run(spark, given)
    page = capsys.readouterr().out
    assert f"- answers are not judged: {refusal.value}" in page
    verdict = next(line for line in evaluated.page.splitlines() if "selected beats random" in line)
    assert verdict.split(" (p = ")[0] in page  # the budget leaves out an arm, and its comparisons
    with connection(given.tracking) as client:
        [run_] = client.search_runs([each.experiment_id for each in client.search_experiments()])
        assert "loss_selected_asked" in run_.data.metrics
        assert "evaluation.md" in {file.path for file in client.list_artifacts(run_.info.run_id)}


def test_a_curve_of_sizes_is_measured_for_selected_and_random(
    evaluated: Evaluated, spark: SparkSession, folder: Path
) -> None:
    found = run(spark, evaluation(folder, sizes=("8", "24")))
    asked = found.curve[found.curve["evaluation"] == "asked"]
    assert sorted(zip(asked["arm"], asked["size"], strict=True)) == [
        ("random", 8),
        ("random", 24),
        ("selected", 8),
        ("selected", 24),
    ]
    by_place = asked.set_index(["arm", "size"])["loss"]
    assert by_place["selected", 24] < by_place["selected", 8]
    assert by_place["selected", 24] < by_place["random", 24]
    assert set(asked["n"]) == {2}
    assert "selected has its lowest mean loss" in found.page


def test_select_takes_as_many_as_the_finetunes_find_best(
    evaluated: Evaluated, spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {"evaluation": (f"asked={folder}/asked.jsonl",), "size_trials": 3}
    given = settings(
        folder,
        select={"size": "auto:8-10"},
        evaluate=wanted,
        export={"to": str(folder / "sized.jsonl")},
    )
    found = select(spark, given)
    said = capsys.readouterr().out
    curve = pd.read_csv(io.StringIO(table_of(said)), sep="|", skipinitialspace=True)
    curve.columns = curve.columns.str.strip()
    own = curve[curve["arm"].str.strip() == "selected"]
    loss, sd = (own[name].astype(float).to_numpy() for name in ("loss", "sd"))
    error = (np.square(sd).mean() / 2) ** 0.5  # two seeds a size
    best = int(own["examples"].astype(int)[loss <= loss.min() + error + 1e-4].min())
    assert found.facts.size == best
    assert f"note: --size auto:8-10 chose {best} examples" in said
    assert f"asked: {best} examples at 2 fresh seeds: selected " in said
    assert "asked: random has its lowest mean loss" in said
    assert f"--top {best}" in found.text.splitlines()[-1]
    assert len((folder / "sized.jsonl").read_text(encoding="utf-8").splitlines()) == best


def table_of(page: str) -> str:
    """The cells of the Markdown table in a page, without its rule."""
    lines = [line.strip("| ") for line in page.splitlines() if line.startswith("|")]
    return "\n".join(line for line in lines if "---" not in line)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"size": "auto"}, "name with --eval NAME=DATA"),
        ({"size": "auto", "top": 5}, "--top and --size: give one size only"),
        ({"size": "500"}, "a number is --top"),
    ],
)
def test_a_size_that_cannot_be_searched_is_refused_in_one_sentence(
    spark: SparkSession, folder: Path, chosen: dict, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        select(spark, settings(folder, select=chosen))


@pytest.mark.parametrize(
    ("given", "judge", "words"),
    [
        ({"sizes": ("many",)}, {}, "write auto, or numbers"),
        ({"sizes": ("9999",)}, {}, "the pool has 64 examples"),
        ({"evaluation": ()}, {}, "--eval is missing"),
        ({}, {"kind": "endpoint"}, "needs --endpoint URL"),
        ({}, {"kind": "choice"}, "set asked has no question with options"),
        ({}, {"kind": "response", "prompts": 1}, "set asked has no two responses that differ"),
        ({}, {"kind": "form"}, "set asked has no reference in a form that can be verified"),
    ],
)
def test_a_mistake_is_one_sentence(
    evaluated: Evaluated, spark: SparkSession, folder: Path, given: dict, judge: dict, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        run(spark, evaluation(folder, judge, **given))


def test_a_judge_beside_finetunes_over_several_processes_is_refused(
    spark: SparkSession, folder: Path
) -> None:
    chosen = evaluation(folder, {"kind": "reward"})
    spread = chosen.finetune.model_copy(update={"gpus_per_run": 2})
    with pytest.raises(UserError, match=r"--judge none, or finetune\.gpus_per_run=1"):
        run(spark, chosen.model_copy(update={"finetune": spread}))


def test_finetunes_that_all_fail_are_a_failure_with_its_reason(
    spark: SparkSession, folder: Path, evaluated: Evaluated
) -> None:
    broken = evaluation(folder)
    broken = broken.model_copy(
        update={"finetune": broken.finetune.model_copy(update={"rate": 1e30})}
    )
    with pytest.raises(FailedRowsError, match="no longer a finite number"):
        run(spark, broken)
