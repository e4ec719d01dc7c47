"""The command line: options become settings, mistakes become one sentence and exit code 2."""

import subprocess
import sys

import pytest

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from jobs.cli import commands, console, main
from jobs.commands.options import settings_of
from jobs.commands.table import OPTIONS


def settings_from(command: str, *arguments: str) -> Settings:
    """What the command's options come to, without running it."""
    context = commands.commands[command].make_context(command, list(arguments))
    return settings_of(command, context.params)


def test_options_become_settings() -> None:
    settings = settings_from(
        "score",
        *("--input", "a.json", "--input", "b.json", "--stages", "ingest, mtld"),
        *("--columns", "prompt=q,response=a", "--keep", "x,y", "--strict-rule"),
        *("--set", "knn.neighbors=3", "--tracking-uri", "none"),
    )
    assert settings.input == ("a.json", "b.json")
    assert settings.stages == ("ingest", "mtld")
    assert settings.read.columns == {"prompt": "q", "response": "a"}
    assert settings.read.keep == ("x", "y")
    assert settings.rule.strict
    assert settings.knn.neighbors == 3
    assert settings.tracking.uri == "none"


def test_an_option_that_is_not_used_changes_nothing() -> None:
    for command in OPTIONS:
        assert settings_from(command) == load_settings()


def test_a_flag_wins_over_the_settings_file_and_is_absent_without_it(tmp_path) -> None:
    (tmp_path / "mine.yml").write_text("dry_run: true\n")
    from_file = settings_from("score", "--settings", str(tmp_path / "mine.yml"))
    assert from_file.dry_run
    assert settings_from("score", "--dry-run").dry_run
    assert not settings_from("score").dry_run


def test_columns_may_be_written_with_blanks() -> None:
    settings = settings_from("score", "--columns", "prompt = q, response=a b ")
    assert settings.read.columns == {"prompt": "q", "response": "a b"}


def test_help_shows_choices_and_defaults(capsys) -> None:
    main(["evaluate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--judge [reward|endpoint|match|choice|response|form|none]" in shown
    assert "Passes over the training examples. [default: 2]" in shown


@pytest.mark.parametrize(
    ("arguments", "job", "data"),
    [
        (["data.jsonl"], "jobs.scoring.run", ("data.jsonl",)),
        (["--dry-run", "data.jsonl"], "jobs.scoring.dry_run", ("data.jsonl",)),
        (["data.jsonl", "--dry-run"], "jobs.scoring.dry_run", ("data.jsonl",)),
        (["--dry-run", "--pool", "p", "data.jsonl"], "jobs.scoring.dry_run", ("data.jsonl",)),
    ],
)
def test_a_flag_takes_no_word_after_it(arguments, job, data, monkeypatch) -> None:
    runs: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr(
        "instructmining.spark.session.with_session",
        lambda run, settings: runs.append((run.__module__, settings.input)),
    )
    main(["score", *arguments])
    assert runs == [(job, data)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scor"], "No such command"),
        (["score", "--inputs", "a"], "--input"),
        (["score", "--replace-pool=maybe"], "does not take a value"),
        (
            ["evaluate", "--judge", "me"],
            "is not one of 'reward', 'endpoint', 'match', 'choice', 'response', 'form', 'none'",
        ),
        (["score", "--set", "knn.neighbors=0"], "Number of neighbours of each example."),
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


@pytest.mark.parametrize(
    ("command", "place", "message"),
    [
        (["select", "--top", "5"], "there.jsonl", "exists: give another --to, or --overwrite"),
        (["select", "--top", "5"], "there.txt", "end it in .jsonl"),
        (["report"], "absent/page.html", "there is no folder"),
    ],
)
def test_a_mistake_in_where_to_write_starts_no_session(
    command, place, message, tmp_path, monkeypatch
):
    monkeypatch.setattr("instructmining.spark.session.get_session", lambda *_: 1 / 0)
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(UserError, match=message):
        main([*command, "--store", str(tmp_path / "store"), "--to", str(tmp_path / place)])


def test_help_imports_neither_spark_nor_numpy_nor_mlflow():
    program = "import sys, jobs.cli; jobs.cli.main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "score" in done.stdout
    assert not {"pyspark", "numpy", "mlflow", "pandas", "torch"} & set(done.stdout.split())
