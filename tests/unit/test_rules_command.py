"""`instructmining rules …` through the same entry point as the console script."""

import json

import pytest

from instructmining.errors import UserError
from instructmining.rule import LinearRule, read_rule
from jobs.cli import main


@pytest.fixture
def rules(mlflow_store, capsys):
    """Run a command, return its lines."""

    def run(*arguments, model="command"):
        main(["rules", *arguments, "--tracking-uri", mlflow_store.uri,
              f"--set=tracking.registry_model={model}"])  # fmt: skip
        return capsys.readouterr().out.splitlines()

    return run


def test_publish_list_promote_show_tell_one_story(rules):
    assert rules("publish") == [
        "paper-v1: models:/command/1 registered",
        "paper-v2: models:/command/2 registered",
    ]
    assert rules("publish", "paper-v2") == ["paper-v2: models:/command/2 was registered before"]
    assert rules("promote", "1") == ["command@champion is version 1"]
    assert rules("promote", "models:/command/2", "--alias=champion") == [
        "command@champion is version 2, before it was version 1"
    ]
    listed = rules("list")
    assert listed[:2] == ["paper-v1  built in", "paper-v2  built in"]
    assert listed[2].startswith("models:/command/2  paper-v2, registered ")
    assert listed[2].endswith("UTC  @champion  @paper-v2")
    shown = [line.split() for line in rules("show", "models:/command@champion")]
    assert shown[0][:3] == ["command,", "version", "2:"]
    assert ["understandability", "+0.4421", "with", "MingZhong/unieval-dialog"] in shown


def test_list_without_tracking_shows_the_built_in_rules(capsys):
    main(["rules", "list", "--tracking-uri=none"])
    assert capsys.readouterr().out.splitlines() == ["paper-v1  built in", "paper-v2  built in"]


def test_export_gives_a_record_that_scores_the_same_and_sql(rules, tmp_path):
    path = tmp_path / "mine.json"
    assert rules("export", "paper-v1", "--to", str(path)) == []
    assert LinearRule.from_json(path.read_text(encoding="utf-8")) == read_rule("paper-v1")
    assert json.loads("\n".join(rules("export", str(path))))["intercept"] == 1.0694
    [sql] = rules("export", str(path), "--as=duckdb")
    assert sql == read_rule("paper-v1").to_sql("duckdb")


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
