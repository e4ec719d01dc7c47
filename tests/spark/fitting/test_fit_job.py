"""A rule learned end to end from real finetunes of a tiny model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import tiny_models
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import FailedRowsError, UserError
from instructmining.rules.canary import canary_objection
from instructmining.rules.canary_record import canary_metrics
from instructmining.rules.registry import list_rules, load_rule, promote, refuse_unproven
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.spoiling.held_out import HELD_OUT
from instructmining.spoiling.spoiled_copies import is_copy, kind_of, real_of
from instructmining.store.tables import Store
from jobs.finetuning.candidates import texts_of
from jobs.finetuning.waves import run_finetunes
from jobs.fit_rule import main as fit_rule
from jobs.fitting.run import Fitted, planned, run
from jobs.fitting.setup import prepare
from jobs.scoring.run import run as score

pytestmark = pytest.mark.slow

LIST = """
name: tiny
perplexity: {{kind: causal_lm, source: {folder}, template: plain, max_length: 128,
             indicators: [output_length, perplexity, ifd]}}
mtld: {{kind: mtld, indicators: [mtld]}}
"""
TOPICS = ("rivers", "bread", "planets", "taxes", "violins", "Flüsse")


def records(count: int) -> list[dict[str, str]]:
    """Every second reply is of another kind, so that a subset's mixture decides what it teaches."""
    return [
        {
            "instruction": f"Say {i} things about {TOPICS[i % 6]}.",
            "input": "",
            "output": f"{TOPICS[i % 6].title()} number {i} is worth {i * i} words."
            if i % 2
            else f"zq{i} " * 12,
        }
        for i in range(count)
    ]


def lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored pool of two files, an evaluation set that shares one example with it."""
    folder = tmp_path_factory.mktemp("fit")
    tiny_models.llama(folder / "llama")
    (folder / "tiny.yml").write_text(LIST.format(folder=folder / "llama"))
    rows = records(90)
    lines(folder / "one.jsonl", rows[:50])
    lines(folder / "two.jsonl", [*rows[50:], {"instruction": "short", "output": "yes"}])
    lines(folder / "held_out.jsonl", [rows[1], *records(99)[91::2], {"instruction": "no answer"}])
    data = (str(folder / "one.jsonl"), str(folder / "two.jsonl"))
    scored(spark, folder, input=data, canary={"rows": 0})
    return folder


def scored(spark: SparkSession, place: Path, **more: object) -> None:
    """Score into the store of the place, with its models."""
    shared = {"store": str(place / "store"), "models": str(place / "tiny.yml")}
    score(spark, load_settings(options={**shared, "tracking": {"uri": "none"}, **more}))


def settings(
    place: Path, fit: dict | None = None, finetune: dict | None = None, **more: object
) -> Settings:
    return load_settings(
        options={
            "store": str(place / "store"),
            "models": str(place / "tiny.yml"),
            "tracking": {"uri": f"sqlite:///{place}/mlflow.db"},
            "fit": {
                "subsets": 14,
                "size": 8,
                "repeats": 1,
                "random_subsets": 5,
                "stop_gain": 0,
                "criterion": "aic",
                "evaluation": (f"answers={place}/held_out.jsonl",),
                **(fit or {}),
            },
            "finetune": {
                "epochs": 1,
                "batch_rows": 2,
                "max_length": 64,
                "rate": 3e-3,
                **(finetune or {}),
            },
            **more,
        }
    )


@pytest.fixture(scope="module")
def halted(spark: SparkSession, place: Path) -> str:
    """A fit that may run no more than seven finetunes: too few to learn from."""
    with pytest.raises(UserError) as refusal:
        run(spark, settings(place, {"max_runs": 7}))
    return str(refusal.value)


@pytest.fixture(scope="module")
def fitted(spark: SparkSession, place: Path, halted: str) -> Fitted:
    return run(spark, settings(place, {"to": str(place / "written")}))


def table(spark: SparkSession, place: Path) -> pd.DataFrame:
    return Store.open(spark, str(place / "store")).read("finetuning_runs").toPandas()


def test_a_fit_that_was_stopped_goes_on_where_it_was(spark, place, halted, fitted):
    assert halted.startswith("6 finetuned subsets are too few")
    assert (fitted.spent.found, fitted.spent.runs, fitted.spent.failed) == (7, 14, {})
    runs = table(spark, place).query("status == 'ok' and base.str.contains('llama')")
    assert runs["run_key"].is_unique
    assert len(runs) == 21
    assert sorted(runs["run_id"].value_counts()) == [7, 14]


def test_a_second_fit_runs_nothing_commits_nothing_and_finds_the_same(spark, place, fitted):
    store = Store.open(spark, str(place / "store"))
    before = [store.version(name) for name in ("finetuning_runs", "subsets")]
    again = run(spark, settings(place))
    assert (again.spent.found, again.spent.runs) == (21, 0)
    assert [store.version(name) for name in ("finetuning_runs", "subsets")] == before
    assert again.learned.fit.coefficients == fitted.learned.fit.coefficients
    assert again.rule.fingerprint == fitted.rule.fingerprint
    assert "was registered before" in again.text


def test_every_run_says_what_it_saw_and_what_came_of_it(spark, place, fitted):
    runs = table(spark, place).query("status == 'ok'")
    base = runs[runs["subset"] == "base"]
    trained = runs[runs["subset"] != "base"]
    assert dict(base["losses"].iloc[0])["answers"] > 0
    assert set(trained["examples"]) == {8}
    assert (trained["steps"] == 4).all()
    members = Store.open(spark, str(place / "store")).read("subsets").toPandas()
    assert set(members["subset"]) == set(trained["subset"])
    by_subset = members.groupby("subset")["example_id"].agg(list)
    clean = by_subset[~by_subset.map(lambda ids: any(map(is_copy, ids)))]
    one = trained[trained["subset"].isin(clean.index)].iloc[0]
    ids = clean[one["subset"]]
    values = (
        Store.open(spark, str(place / "store"))
        .read("stage_values")
        .where(F.col("example_id").isin(list(ids)) & (F.col("stage") == "perplexity"))
        .toPandas()
    )
    mean = sum(dict(each)["output_length"] for each in values["values"]) / 8
    assert dict(one["indicators"])["output_length"] == pytest.approx(mean, rel=1e-9)
    assert sum(dict(one["mix"]).values()) == pytest.approx(1)


def test_no_example_of_an_evaluation_set_is_trained_on(fitted):
    assert "1 examples are left out: they are in an evaluation set" in fitted.text
    assert "answers: 5 conversations, 1 unusable records" in fitted.text


def test_seeds_of_one_subset_count_as_one_run_and_give_the_noise(fitted):
    assert len(fitted.learned.runs) == 14
    assert fitted.learned.noise > 0
    assert fitted.learned.ranked is None or fitted.learned.ranked.n == 5


def test_a_stated_share_of_the_subsets_holds_copies_of_their_own_rows_that_are_spoiled(
    spark, place, fitted
):
    """14 subsets: 4 with dirt, which were drawn clean and differ from that draw in it alone."""
    setup = prepare(spark, settings(place))
    own = list(setup.subsets.values())[:14]
    drawn = prepare(spark, settings(place, {"dirty_subsets": 0.0}))
    clean = list(drawn.subsets.values())[:14]
    dirty = [ids for ids in own if any(map(is_copy, ids))]
    assert len(dirty) == 4
    assert [sorted(map(real_of, ids)) for ids in own] == [sorted(ids) for ids in clean]
    assert list(setup.subsets)[14:] == list(drawn.subsets)[14:]
    copies = sorted({one for ids in dirty for one in ids if is_copy(one)})
    assert not {kind_of(one) for one in copies} & set(HELD_OUT)
    texts = texts_of(setup.finetunes.store, [*copies, *map(real_of, copies)])
    assert all(texts[one][:-1] == texts[real_of(one)][:-1] for one in copies)
    assert all(texts[one] != texts[real_of(one)] for one in copies)
    rows = setup.candidates.rows.set_index("example_id")
    assert rows.loc[copies, setup.candidates.indicators].notna().all(axis=None)
    shuffled = next(one for one in copies if kind_of(one) == "shuffled")
    assert rows.loc[shuffled, "ifd"] != rows.loc[real_of(shuffled), "ifd"]
    assert rows.loc[shuffled, "source"] == rows.loc[real_of(shuffled), "source"]
    assert "4 of 14 subsets hold spoiled rows" in fitted.text
    assert "4 of 14 subsets hold spoiled rows" in fitted.page
    assert (fitted.learned.runs["dirt"] > 0).sum() == 4


def test_hinges_are_offered_where_the_whole_search_is_tested(spark, place, fitted):
    found = run(spark, settings(place, {"criterion": "cv"}))
    assert found.spent.runs == 0
    assert any("_above_" in name for name in found.learned.singles.index)
    assert not any("_above_" in name for name in fitted.learned.singles.index)


def test_a_fit_can_be_drawn_again_from_its_file(spark, place, fitted):
    again = settings(place, {"drawn": str(place / "written" / "subsets.csv"), "seed": 77})
    setup = prepare(spark, again)
    assert [run.subset for run in planned(setup, 0, 0)] == [
        run.subset for run in planned(prepare(spark, settings(place)), 0, 0)
    ]
    other = settings(place, {"drawn": str(place / "written" / "fit.md")})
    with pytest.raises(UserError, match=r"is not the subsets\.csv of a fit|fit\.drawn="):
        prepare(spark, other)


def test_mlflow_has_a_child_per_finetune_the_page_the_table_and_the_plots(place, fitted):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    parent = fitted.rule.provenance["run_id"]
    experiment = client.get_run(parent).info.experiment_id
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert len(children) == 21
    assert all(child.data.metrics["loss_answers"] > 0 for child in children)
    files = {file.path for file in client.list_artifacts(parent)}
    assert files >= {"fit.md", "fit_table.csv", "subsets.csv", "plots"}
    assert len(client.get_run(parent).inputs.dataset_inputs) >= 3


def test_the_page_and_the_table_are_written_where_they_are_asked_for(place, fitted):
    assert (place / "written" / "fit.md").read_text() == fitted.page
    assert len(pd.read_csv(place / "written" / "fit_table.csv")) == 14
    rule = json.loads((place / "written" / "rule.json").read_text())
    assert rule["coefficients"] == fitted.rule.coefficients
    for part in (
        "Coefficients",
        "Each indicator alone",
        "How the terms were chosen",
        "Out of sample",
        "Design",
    ):
        assert f"## {part}" in fitted.page


def test_the_candidate_is_gated_and_scores_with_errors_and_ranges(spark, place, fitted):
    tracking = settings(place).tracking
    [found] = list_rules(tracking)
    assert found.aliases == ("candidate",)
    rule = load_rule(f"models:/{found.name}@candidate", tracking)
    assert rule.provenance["cross_validation"]["rmse_mean_only"] > 0
    with pytest.raises(UserError, match="--force") as refusal:  # chosen by AIC, in sample
        refuse_unproven(str(found.version), tracking)
    assert f"it does not pass the gate of `rules promote`: {refusal.value}" in fitted.text
    promote(str(found.version), tracking)
    scored(
        spark,
        place,
        canary={"rows": 0},
        input=(str(place / "one.jsonl"),),
        rule={"source": "auto"},
        tracking={"uri": tracking.uri},
    )
    scores = (
        Store.open(spark, str(place / "store"))
        .read("scores")
        .where(F.col("rule_name") == found.name)
        .toPandas()
    )
    predicted = scores[scores["predicted_log_loss"].notna()]
    assert len(predicted) >= 85
    assert (predicted["predicted_log_loss_se"] > 0).all()
    assert predicted["rule_models_match"].all()
    assert set(scores["out_of_range"]) <= {True, False}


def test_a_run_that_fails_is_tried_twice_and_its_reason_is_told(spark, place, fitted):
    with pytest.raises(FailedRowsError, match=r"1 of 2 finetunes failed.*lower finetune\.rate"):
        run(spark, settings(place, {"max_runs": 2}, {"rate": 1e30, "warm_up": 0.0}))
    failed = table(spark, place).query("status == 'failed'")
    assert len(failed) == 2
    assert failed["run_key"].nunique() == 1


def test_a_budget_that_is_spent_begins_no_further_wave(spark, place, fitted):
    with pytest.raises(UserError, match="0 finetuned subsets are too few"):
        run(spark, settings(place, {"budget_minutes": 1e-5}, {"weight_decay": 0.01}))


def test_runs_behind_the_calibration_are_saved_once_the_intervals_are_narrow(spark, place):
    given = settings(place, {"repeats": 0, "random_subsets": 0}, {"rate": 1e-2})
    setup = prepare(spark, given)
    plan = planned(setup, repeats=0, seed=0)
    shared = setup.finetunes
    texts = texts_of(shared.store, sorted({i for run in plan for i in run.ids}))
    spent = run_finetunes(shared, plan, texts, "a run", "fit", enough=lambda: "enough")
    assert 0 < spent.runs < 15
    assert spent.saved == 15 - spent.runs
    assert f"{spent.saved} finetunes saved" in "\n".join(spent.words())


def test_every_run_is_measured_on_the_same_sample_of_prompts_and_none_is_trained_on(spark, place):
    sampled = settings(place, {"prompts": 2, "max_runs": 3})
    setup = prepare(spark, sampled)
    assert len(setup.finetunes.sets[0].ids) == 2
    assert setup.candidates.sentences == prepare(spark, settings(place)).candidates.sentences
    with pytest.raises(UserError, match="2 finetuned subsets are too few"):
        run(spark, sampled)
    keys = [one.key for one in planned(setup, 1, 0)[:3]]
    runs = table(spark, place)
    rows = runs[runs["run_key"].isin(keys)]
    assert [len(dict(tokens)["answers"]) for tokens in rows["prompt_tokens"]] == [2, 2, 2]


def test_what_cannot_fit_the_machine_is_refused_before_anything_runs(spark, place):
    with pytest.raises(UserError, match=r"finetunes of .* need at least"):
        run(spark, settings(place, measure={"token_budget": 10**9}))


def test_a_candidate_is_tried_on_the_spoiled_rows_that_score_stored(spark, place, fitted):
    assert "score once with the rule before it is promoted" in fitted.text
    rule = {"source": str(place / "written" / "rule.json")}
    scored(spark, place, stages=("perplexity", "mtld", "rule"), rule=rule)
    chosen = settings(place)
    again = run(spark, chosen)
    assert again.spent.runs == 0
    assert "canary: the rule prefers the real row to a spoiled copy in " in again.text
    [version] = [
        rule.uri
        for rule in list_rules(chosen.tracking)
        if rule.fingerprint == again.rule.fingerprint
    ]
    tried = canary_metrics(version, chosen.tracking)
    assert set(HELD_OUT) & {name.removeprefix("canary_") for name in tried}
    objection = canary_objection(version, tried)
    assert (objection is None) or (objection in again.text) or ("does not pass" in again.text)


def test_speculation_is_refused(spark, place):
    conf = spark._jsparkSession.sessionState().conf()
    conf.setConfString("spark.speculation", "true")
    try:
        with pytest.raises(UserError, match=r"spark\.speculation"):
            run(spark, settings(place))
    finally:
        conf.unsetConf("spark.speculation")


def test_what_is_missing_is_one_clear_sentence(spark, place):
    with pytest.raises(UserError, match="--eval is missing"):
        run(spark, settings(place, {"evaluation": ()}))
    with pytest.raises(UserError, match="indicator reward is not measured"):
        run(spark, settings(place, {"indicators": ("reward",)}))
    with pytest.raises(UserError, match="pools nowhere are empty"):
        run(spark, settings(place, {"pools": ("nowhere",)}))


def test_a_fit_killed_in_the_middle_repeats_no_finished_run(spark, place, fitted):
    options = [
        "--store",
        str(place / "store"),
        "--models",
        str(place / "tiny.yml"),
        "--eval",
        f"answers={place}/held_out.jsonl",
        "--subsets",
        "14",
        "--size",
        "8",
        "--epochs",
        "3",
        "--tracking-uri",
        "none",
        "--set",
        "finetune.max_length=64",
        "--set",
        "fit.repeats=0",
        "--set",
        "fit.random_subsets=0",
    ]
    log = place / "store" / "finetuning_runs" / "_delta_log"
    before = len(list(log.glob("*.json")))
    command = [sys.executable, "-m", "jobs.fit_rule", *options]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        while len(list(log.glob("*.json"))) == before and process.poll() is None:
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    kept = table(spark, place).query("recipe.str.contains('\"epochs\": 3')")
    assert 0 < len(kept) < 15
    fit_rule(options)  # the process was there to be killed; what goes on needs none of its own
    runs = table(spark, place).query("recipe.str.contains('\"epochs\": 3')")
    assert len(runs) == runs["run_key"].nunique() == 15
    assert set(kept["run_key"]) <= set(runs["run_key"])
