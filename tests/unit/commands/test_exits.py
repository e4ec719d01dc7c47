"""How a command ends: one sentence, a code, and no stack trace for what a person can act on."""

import pytest

from instructmining.errors import BrokenOffError, DriftError, FailedRowsError, UserError, cause
from jobs import cli


@pytest.fixture
def ends_with(monkeypatch, capsys):
    """The code and the line of a command that raises this."""

    def run(error: BaseException) -> tuple[int, str]:
        def fail(argv):
            raise error

        monkeypatch.setattr(cli, "main", fail)
        with pytest.raises(SystemExit) as ended:
            cli.console([])
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("--top: give a number"), 2),
        (DriftError("reward moved"), 1),
        (FailedRowsError("5 of 9 rows failed"), 1),
    ],
)
def test_an_error_of_ours_is_its_sentence_and_its_code(error, code, ends_with):
    assert ends_with(error) == (code, f"instructmining: {error}\n")


def test_an_interruption_says_how_to_go_on(ends_with):
    code, line = ends_with(KeyboardInterrupt())
    assert code == 130
    assert line.endswith("run again to go on\n")


def test_a_run_that_was_broken_off_names_the_whole_report(ends_with, monkeypatch):
    monkeypatch.setattr("instructmining.spark.process_log.write_error", lambda: "/tmp/a.log")
    assert ends_with(BrokenOffError("a disk is full")) == (
        1,
        "instructmining: a disk is full (the whole report: /tmp/a.log)\n",
    )


@pytest.mark.parametrize(
    ("library", "extras"),
    [
        ("pyspark.sql", "local,models,tracking"),
        ("torch", "models"),
        ("mlflow", "tracking"),
        ("jinja2", "report"),
        ("peft", "fit"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(library, extras, ends_with):
    code, line = ends_with(ModuleNotFoundError(name=library))
    assert code == 2
    assert f"the library {library.partition('.')[0]} is not installed here" in line
    assert f"instructmining[{extras}]" in line


def test_a_module_of_ours_that_is_missing_is_an_error(ends_with):
    with pytest.raises(ModuleNotFoundError):
        ends_with(ModuleNotFoundError(name="instructmining.gone"))


def test_a_bug_keeps_its_stack_trace(monkeypatch):
    def fail(argv):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "main", fail)
    with pytest.raises(ZeroDivisionError):
        cli.console([])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("first line\nsecond", "first line"),
        ("Job aborted.\nTraceback\nValueError: bad row\n  at org.apache", "ValueError: bad row"),
        ("x\nKeyError: 'a'\nagain\ninstructmining.errors.UserError: say this\n", "say this"),
        ("x" * 400, "x" * 300),
        ("", ""),
    ],
)
def test_of_a_long_report_the_last_python_error_is_told(text, line):
    assert cause(RuntimeError(text)) == line


class JavaError:
    def __init__(self, message: str | None) -> None:
        self.message = message

    def getMessage(self) -> str | None:
        return self.message

    def toString(self) -> str:
        return "java.lang.Error"


@pytest.mark.parametrize(
    ("message", "line"), [("no such folder\nmore", "no such folder"), (None, "java.lang.Error")]
)
def test_of_an_error_of_the_jvm_its_own_message_is_told(message, line):
    error = RuntimeError("An error occurred while calling o12.load")
    error.java_exception = JavaError(message)
    assert cause(error) == line
