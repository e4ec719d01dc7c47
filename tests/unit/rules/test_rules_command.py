"""`instructmining rules …` through the same entry point as the console script."""

import json

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from instructmining.errors import UserError
from instructmining.packaged import conf_folder
from instructmining.rules.rule import LinearRule, read_rule
from instructmining.tracking.mlflow_runs import log_run
from jobs.cli import main

TRIED = conf_folder() / "rules" / "tried"


@pytest.fixture
def rules(mlflow_store, capsys):
    """Run a command, return its lines."""

    def run(*arguments, model="command"):
        main(
            [
                "rules",
                *arguments,
                "--tracking-uri",
                mlflow_store.uri,
                f"--set=tracking.registry_model={model}",
            ]
        )
        return capsys.readouterr().out.splitlines()

    return run


def test_publish_list_promote_show_tell_one_story(rules):
    assert rules("publish") == [
        "paper-v1: models:/command/1 registered",
        "paper-v2: models:/command/2 registered",
    ]
    assert rules("publish", "paper-v2") == ["paper-v2: models:/command/2 was registered before"]
    assert rules("promote", "1", "--force") == ["command@champion is version 1"]
    assert rules("promote", "models:/command/2", "--alias=champion", "--force") == [
        "command@champion is version 2, before it was version 1"
    ]
    listed = rules("list")
    assert listed[:2] == ["paper-v1  built in", "paper-v2  built in"]
    assert listed[2].startswith("models:/command/2  paper-v2, registered ")
    assert listed[2].endswith("UTC  @champion  @paper-v2")
    shown = [line.split() for line in rules("show", "models:/command@champion")]
    assert shown[0][:3] == ["command,", "version", "2:"]
    assert ["understandability", "+0.4421", "with", "MingZhong/unieval-dialog"] in shown


def test_a_registry_that_refuses_to_search_for_what_it_has_not_takes_the_first_rule(
    rules, monkeypatch
):
    search = MlflowClient.search_model_versions

    def refusing(self, text):  # as Unity Catalog does
        self.get_registered_model(text.removeprefix("name=").strip("'"))
        return search(self, text)

    monkeypatch.setattr(MlflowClient, "search_model_versions", refusing)
    assert rules("publish", "paper-v2", model="first") == ["paper-v2: models:/first/1 registered"]
    assert len(rules("list", model="none_yet")) == 2  # those built in


def test_the_champion_is_compared_first_and_an_alias_is_for_a_named_rule(rules):
    with pytest.raises(UserError, match="publish the rule, then `rules promote` it"):
        rules("publish", "paper-v1", "--alias=champion")
    with pytest.raises(UserError, match="--alias is for the rules that are named"):
        rules("publish", "--alias=prod")
    with pytest.raises(UserError, match=r"--to /none/x\.json: No such file"):
        rules("export", "paper-v1", "--to=/none/x.json")


def test_list_without_tracking_shows_the_built_in_rules(capsys):
    main(["rules", "list", "--tracking-uri=none"])
    names = [f"{name}  built in" for name in ("paper-v1", "paper-v2")]
    assert capsys.readouterr().out.splitlines() == names


def test_export_gives_a_record_that_scores_the_same_and_sql(rules, tmp_path):
    path = tmp_path / "mine.json"
    assert rules("export", "paper-v1", "--to", str(path)) == []
    assert LinearRule.from_json(path.read_text(encoding="utf-8")) == read_rule("paper-v1")
    assert json.loads("\n".join(rules("export", str(path))))["intercept"] == 1.0694
    [sql] = rules("export", str(path), "--as=duckdb")
    assert sql == read_rule("paper-v1").to_sql("duckdb")


def gated(rules, path, name, permutation_p=0.005, model="gate", **gate):
    """Publish a rule with what its fit measured out of fold and by chance; gives its version."""
    gate = gate and {"crossed_beside_sources": 0.2, **gate}
    found = read_rule("paper-v1").model_copy(
        update={
            "name": name,
            "intercept": float(len(name)),
            "provenance": {"cross_validation": gate, "permutation_p": permutation_p}
            if gate
            else {},
        }
    )
    path.write_text(found.to_json(), encoding="utf-8")
    return rules("publish", str(path), model=model)[0].split("/")[-1].split()[0]


def test_a_champion_must_beat_the_mean_and_the_champion_before_it(rules, tmp_path):
    path = tmp_path / "rule.json"
    unmeasured = gated(rules, path, "a")
    with pytest.raises(UserError, match="was not compared with the mean alone"):
        rules("promote", unmeasured, model="gate")
    worse = gated(rules, path, "bb", rmse=0.02, rmse_mean_only=0.01, rmse_others={})
    with pytest.raises(UserError, match=r"the mean alone: .*0\.02000 against 0\.01"):
        rules("promote", worse, model="gate")
    first = gated(rules, path, "ccc", rmse=0.009, rmse_mean_only=0.01, rmse_others={})
    assert rules("promote", first, model="gate") == [
        f"no canary of {first} is stored: score a pool with --rule {first}",
        f"gate@champion is version {first}",
    ]
    unaware = gated(rules, path, "dddd", rmse=0.005, rmse_mean_only=0.01, rmse_others={})
    with pytest.raises(UserError, match="was not compared with the champion"):
        rules("promote", unaware, model="gate")
    beaten = gated(
        rules,
        path,
        "eeeee",
        rmse=0.008,
        rmse_mean_only=0.01,
        rmse_others={f"models:/gate/{first}": 0.007},
    )
    with pytest.raises(UserError, match="not better than the champion"):
        rules("promote", beaten, model="gate")
    better = gated(
        rules,
        path,
        "ffffff",
        rmse=0.006,
        rmse_mean_only=0.01,
        rmse_others={f"models:/gate/{first}": 0.007},
    )
    assert "before it was version" in rules("promote", better, model="gate")[1]
    assert rules("promote", worse, "--alias=trial", model="gate")  # only the champion is gated


def test_a_champion_must_not_be_a_find_of_chance_and_force_promotes_it_nevertheless(
    rules, tmp_path
):
    better = {"rmse": 0.009, "rmse_mean_only": 0.01, "rmse_others": {}}
    untested = gated(rules, tmp_path / "rule.json", "a", None, "chance", **better)
    with pytest.raises(UserError, match=r"no permutation test was made.* --criterion cv"):
        rules("promote", untested, model="chance")
    assert rules("promote", untested, "--force", model="chance")


def test_rules_that_were_tried_are_not_offered_by_name_and_are_read_from_their_files(rules):
    with pytest.raises(UserError, match="name one of paper-v1, paper-v2"):
        rules("show", "dolly-45")
    for name in ("dolly-45", "dolly-33"):
        shown = rules("show", str(TRIED / f"{name}.json"))
        assert shown[0].startswith(f"{name}, version 1")


def test_the_runs_of_a_rule_that_was_tried_give_its_coefficients_again():
    runs = pd.read_csv(TRIED / "dolly.csv")
    rule = read_rule(str(TRIED / "dolly-45.json"))
    terms = runs[list(rule.coefficients)].assign(intercept=1.0)
    found, *_ = np.linalg.lstsq(terms.to_numpy(), runs["log_loss"].to_numpy())
    assert found == pytest.approx([*rule.coefficients.values(), rule.intercept], rel=1e-4)
    assert len(runs) == rule.provenance["subsets"] == 45


def test_a_rule_that_prefers_dirt_is_refused_by_the_canary_of_the_run_that_tried_it(
    rules, mlflow_store, tmp_path
):
    path = tmp_path / "rule.json"
    better = {"rmse": 0.009, "rmse_mean_only": 0.01, "rmse_others": {}}
    version = gated(rules, path, "dirt", model="dirt", **better)
    with log_run(mlflow_store, "score") as run:
        run.log_canary(read_rule(str(path)), {"canary_html": 95.0, "canary_base64": 3.0})
    with pytest.raises(UserError, match=r"fewer than 60 of 100 pairs \(base64 3\).*--force"):
        rules("promote", version, model="dirt")
    promoted = rules("promote", version, "--force", model="dirt")
    assert promoted == [f"dirt@champion is version {version}"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "paper-v9"], "paper-v1, paper-v2"),
        (["promote", "7"], "not found"),
        (["show"], "Missing argument"),
        (["export", "paper-v1", "--as=xml"], "xml"),
        (["show", "models:/command"], "models:/NAME@ALIAS"),
    ],
)
def test_a_users_mistake_is_one_sentence(rules, arguments, complaint):
    with pytest.raises(UserError, match=complaint) as refusal:
        rules(*arguments, model="mistakes")
    assert "\n" not in str(refusal.value)


def test_publishing_needs_a_store():
    with pytest.raises(UserError, match="name an MLflow store"):
        main(["rules", "publish", "--tracking-uri=none"])
