"""The command line: `instructmining COMMAND`.

Exit codes: 0 done, 1 failed, 2 a mistake in the input or the options.
"""

import sys
from collections.abc import Sequence

import click

from instructmining import __version__
from instructmining.errors import BrokenOffError, DriftError, FailedRowsError, UserError, cause
from jobs.commands.erase import erase
from jobs.commands.evaluate import evaluate
from jobs.commands.fit import fit
from jobs.commands.maintain import maintain
from jobs.commands.models import models
from jobs.commands.preview import preview
from jobs.commands.report import explain, report
from jobs.commands.rules import rules
from jobs.commands.score import import_scores, score
from jobs.commands.select import select
from jobs.commands.starting import completion, doctor, init

# Libraries that a command imports, and the extras that carry them with what it needs besides.
_EXTRAS = {
    **dict.fromkeys(("pyspark", "delta", "pandas", "pyarrow", "numpy"), "local,models,tracking"),
    **dict.fromkeys(("torch", "transformers", "sentence_transformers", "urllib3"), "models"),
    "mlflow": "tracking",
    "jinja2": "report",
    **dict.fromkeys(("peft", "statsmodels"), "fit"),
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def commands() -> None:
    """Score LLM instruction data on Spark, select the best subset, and prove the pick."""


_WORK = (preview, score, select, fit, evaluate, report, rules, models, maintain, erase)
for command in (doctor, init, *_WORK, explain, import_scores, completion):
    commands.add_command(command)


def console(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: errors become one sentence and a code."""
    try:
        main(argv)
    except UserError as error:
        _fail(str(error), 2)
    except (DriftError, FailedRowsError) as error:
        _fail(str(error), 1)
    except BrokenOffError as error:
        _fail(f"{error}{_full_report()}", 1)
    except ModuleNotFoundError as error:
        _fail(_not_installed(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted: what was committed stays, run again to go on", 130)
    except Exception as error:
        if not type(error).__module__.startswith(("pyspark", "py4j")):
            raise
        _fail(f"Spark failed: {cause(error)}{_full_report()}", 1)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; returns None and raises, as entry points of a platform want it.

    Raises:
        UserError: a mistake that one sentence explains.
    """
    try:
        commands.main(args=argv, prog_name="instructmining", standalone_mode=False)
    except click.UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # since click 8.2; before, it just printed
            click.echo(error.format_message())
            return
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        raise UserError(error.format_message() + hint) from None
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None


def _not_installed(error: ModuleNotFoundError) -> str:
    """Where a library of an extra is missing, the remedy; a missing module of ours is an error."""
    library = (error.name or "").partition(".")[0].replace("py4j", "pyspark")  # it comes with it
    if library not in _EXTRAS:
        raise error
    return (
        f"the library {library} is not installed here: install "
        f"instructmining[{_EXTRAS[library]}] (extras: docs/starting.md)"
    )


def _full_report() -> str:
    """Write the error at hand, with all that Spark says of it, to the log, and name that."""
    from instructmining.spark.process_log import write_error

    log = write_error()
    return f" (the whole report: {log})" if log else ""


def _fail(message: str, code: int) -> None:
    print(f"instructmining: {message}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    console()
