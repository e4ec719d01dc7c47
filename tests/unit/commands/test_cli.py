"""The command line: options become settings, mistakes become one sentence and exit code 2."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from instructmining.errors import UserError
from jobs.cli import commands, console, main, score_settings
from jobs.commands.options import spelled_out

NOTHING = {
    "given_input": (),
    "more_input": (),
    "store": None,
    "files": None,
    "pool": None,
    "replace_pool": None,
    "models": None,
    "rule": None,
    "strict_rule": None,
    "stages": None,
    "best_path": None,
    "skip_bad_files": None,
    "format_name": None,
    "columns": None,
    "id_column": None,
    "keep": None,
    "device": None,
    "dtype": None,
    "max_failed_fraction": None,
    "retry_failed": None,
    "dry_run": None,
    "settings_file": None,
    "sets": (),
    "tracking_uri": None,
    "knn_reference": None,
}


def test_options_become_settings() -> None:
    settings = score_settings(
        NOTHING
        | {
            "given_input": ("a.json",),
            "more_input": ("b.json",),
            "stages": "ingest, mtld",
            "columns": "prompt=q,response=a",
            "keep": "x,y",
            "strict_rule": True,
            "sets": ("knn.neighbors=3",),
            "tracking_uri": "none",
        }
    )
    assert settings.input == ("a.json", "b.json")
    assert settings.stages == ("ingest", "mtld")
    assert settings.read.columns == {"prompt": "q", "response": "a"}
    assert settings.read.keep == ("x", "y")
    assert settings.rule.strict
    assert settings.knn.neighbors == 3
    assert settings.tracking.uri == "none"


def test_columns_may_be_written_with_blanks() -> None:
    settings = score_settings(NOTHING | {"columns": "prompt = q, response=a b "})
    assert settings.read.columns == {"prompt": "q", "response": "a b"}


@pytest.mark.parametrize(
    ("given", "dry", "data"),
    [
        (["--dry-run", "data.jsonl"], True, ("data.jsonl",)),
        (["data.jsonl", "--dry-run"], True, ("data.jsonl",)),
        (["--dry-run", "--pool", "p", "data.jsonl"], True, ("data.jsonl",)),
        (["--dry-run", "true", "data.jsonl"], True, ("data.jsonl",)),
        (["--dry-run", "False", "data.jsonl"], False, ("data.jsonl",)),
        (["--dry-run=false", "data.jsonl"], False, ("data.jsonl",)),
        (["--dry-run=true", "falsch.jsonl"], True, ("falsch.jsonl",)),
    ],
)
def test_a_flag_takes_no_word_but_true_or_false(given, dry, data, monkeypatch) -> None:
    runs: list[tuple[bool, tuple[str, ...]]] = []
    for job in ("jobs.scoring.dry_run", "jobs.scoring.run"):
        stand_in = SimpleNamespace(
            run_with_session=lambda settings: runs.append((settings.dry_run, settings.input))
        )
        monkeypatch.setitem(sys.modules, job, stand_in)
    main(["score", *given])
    assert runs == [(dry, data)]


def test_a_flag_of_a_command_below_another_leaves_the_argument_alone() -> None:
    given = ["rules", "promote", "--force", "1", "--tracking-uri", "none"]
    assert spelled_out(given, commands) == [*given[:2], "--force=true", *given[3:]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scor"], "No such command"),
        (["score", "--inputs", "a"], "--input"),
        (["score", "--replace-pool=maybe"], "not a valid boolean"),
        (["score", "--set", "knn.neighbours=3"], "did you mean knn.neighbors"),
        (["score", "--columns", "prompt=q"], "--columns needs prompt=FIELD,response=FIELD"),
        (["score", "--stages", "emed"], "did you mean embed"),
        (["score", "--format", "alpacca"], "did you mean alpaca"),
        (["rules", "show", "paper-v9"], "no rule 'paper-v9'"),
        (["rules", "promote"], "(see instructmining rules promote --help)"),
        (["models", "fetch", "embeded"], "no model list 'embeded'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        console(arguments)
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert len(shown.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["rules"], ["models"]])
def test_a_command_without_arguments_shows_its_help(arguments, capsys) -> None:
    console(arguments)
    shown = capsys.readouterr()
    assert shown.out.startswith(f"Usage: {' '.join(['instructmining', *arguments])} ")
    assert "Commands:" in shown.out
    assert not shown.err


def test_entry_points_raise_instead_of_exiting() -> None:
    with pytest.raises(UserError):
        main(["score", "--stages", "emed"])


def test_help_starts_neither_spark_nor_torch() -> None:
    code = (
        "import sys; from jobs.cli import main; main(['score', '--help']);"
        "assert not {'torch', 'mlflow', 'pyspark.sql.classic'} & set(sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--dry-run" in shown.stdout
