"""The command line: `instructmining COMMAND`; exit codes 0 done, 1 failed, 2 a user's mistake."""

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from instructmining import __version__
from instructmining.errors import BrokenOffError, FailedRowsError, UserError, cause
from instructmining.settings.sections import STAGES, Settings, load_settings
from jobs.commands.erase import erase
from jobs.commands.evaluate import evaluate
from jobs.commands.maintain import maintain
from jobs.commands.models import models
from jobs.commands.options import columns_of, common, flag, name_of, names_of, spelled_out
from jobs.commands.report import report
from jobs.commands.rules import rules
from jobs.commands.select import select

_COMMA = "comma-separated"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def commands() -> None:
    """Score LLM instruction data on Spark, select the best subset, and prove the pick."""


@commands.command(context_settings={"ignore_unknown_options": False})
@click.argument("more_input", nargs=-1)
@click.option(
    "--input",
    "given_input",
    multiple=True,
    metavar="DATA",
    help="Files, folders, globs or tables; `table:`/`path:` force the kind.",
)
@click.option("--store", "--output", "store", help="Folder, or catalog.schema.")
@click.option("--files", help="Folder that all nodes see, for what is not a table.")
@click.option("--pool", help="Named set of examples that the data are added to.")
@flag("--replace-pool", "Start the pool anew.")
@click.option("--models", help="A list in conf/models, or a YAML file.")
@click.option("--rule", help="auto, paper-v1, paper-v2, FILE.json or models:/NAME@ALIAS.")
@flag("--strict-rule", "Refuse a rule that was fitted with other models.")
@click.option(
    "--stages",
    help=f"Stages to run, {_COMMA}: {','.join(STAGES)}; "
    "a classifier of the model list is classifier:NAME.",
)
@click.option("--knn-reference", help="refresh: new rows move old distances; frozen: they do not.")
@click.option("--format", "format_name", help="Force one layout instead of detecting it.")
@click.option(
    "--columns",
    help="Your own fields: prompt=q,response=a, or turns=…,role=…,content=…; "
    'dots lead into objects, a name with a comma or dot stands in double quotes: prompt="q, 1".',
)
@click.option("--id", "id_column", help="Your own key, stored with every occurrence.")
@click.option("--keep", help=f"Your own columns to carry through, {_COMMA}, named as in --columns.")
@flag("--best-path", "Of a message tree take the best-ranked conversation only.")
@flag("--skip-bad-files", "Quarantine a file without a readable record instead of stopping.")
@click.option("--device", help="auto, cpu or cuda.")
@click.option("--dtype", help="auto, bfloat16 or float32.")
@click.option("--max-failed-fraction", type=float, help="More failed rows than this fail the run.")
@flag("--retry-failed", "Measure failed rows again.")
@flag("--dry-run", "Measure a small sample; print what a run would cost.")
@common
def score(**given: Any) -> None:
    """Measure indicators, apply the rule, write scored Delta tables."""
    settings = score_settings(given)
    if settings.dry_run:
        from jobs.scoring.dry_run import run_with_session
    else:
        from jobs.scoring.run import run_with_session
    run_with_session(settings)


@commands.command()
@click.option("--store", "--output", "store", help="Folder, or catalog.schema, that `score` wrote.")
@click.option("--files", help="Folder that all nodes see, for what is not a table.")
@click.option("--pool", "--pools", "pools", help=f"Scored pools to draw from, {_COMMA}.")
@click.option(
    "--eval",
    "evaluation",
    multiple=True,
    metavar="NAME=DATA",
    help="Data with reference answers; the first is the target.",
)
@click.option("--models", help="The list the pools were scored with.")
@click.option("--base", help="Model to finetune; default: the list's perplexity model.")
@click.option("--subsets", type=int, help="How many; the paper had 129.")
@click.option("--size", type=int, help="Examples of each subset.")
@click.option("--design", help="spread or random.")
@click.option("--indicators", help=f"That may become terms, {_COMMA}; default: all measured.")
@click.option("--criterion", help="cv, aic, bic or p.")
@click.option("--seed", type=int, help="Of everything random.")
@click.option("--epochs", type=int, help="Of each finetune.")
@click.option("--max-runs", type=int, help="No more finetunes than this.")
@click.option("--budget", "budget_minutes", type=float, help="Minutes; no wave ends later.")
@click.option("--to", metavar="FOLDER", help="Write the rule, the page and the fit table here too.")
@click.option("--device", help="auto, cpu or cuda.")
@click.option("--dtype", help="auto, bfloat16 or float32.")
@common
def fit(**given: Any) -> None:
    """Learn a rule from finetuned subsets and register it as a candidate."""
    from jobs.fitting.run import run_with_session

    run_with_session(fit_settings(given))


commands.add_command(evaluate)
commands.add_command(erase)
commands.add_command(maintain)
commands.add_command(models)
commands.add_command(report)
commands.add_command(rules)
commands.add_command(select)


def score_settings(given: dict[str, Any]) -> Settings:
    """Options of `score` as settings."""
    options = {
        "input": (*given["given_input"], *given["more_input"]) or None,
        **{
            key: given[key]
            for key in ("store", "files", "pool", "replace_pool", "models", "dry_run")
        },
        "stages": _listed(given["stages"]),
        "read": {
            "format": given["format_name"],
            "columns": columns_of(given["columns"]),
            "id": name_of(given["id_column"]),
            "keep": names_of(given["keep"]),
            "best_path": given["best_path"],
            "skip_bad_files": given["skip_bad_files"],
        },
        "measure": {
            key: given[key] for key in ("device", "dtype", "max_failed_fraction", "retry_failed")
        },
        "knn": {"reference": given["knn_reference"]},
        "rule": {"source": given["rule"], "strict": given["strict_rule"]},
        "tracking": {"uri": given["tracking_uri"]},
    }
    return load_settings(given["settings_file"], given["sets"], options)


def fit_settings(given: dict[str, Any]) -> Settings:
    """Options of `fit` as settings."""
    options = {
        **{key: given[key] for key in ("store", "files", "models")},
        "fit": {
            "pools": _listed(given["pools"]),
            "evaluation": given["evaluation"] or None,
            "indicators": _listed(given["indicators"]),
            **{
                key: given[key]
                for key in (
                    "base",
                    "subsets",
                    "size",
                    "design",
                    "criterion",
                    "seed",
                    "max_runs",
                    "budget_minutes",
                    "to",
                )
            },
        },
        "finetune": {"epochs": given["epochs"], "dtype": given["dtype"]},
        "measure": {"device": given["device"]},
        "tracking": {"uri": given["tracking_uri"]},
    }
    return load_settings(given["settings_file"], given["sets"], options)


def console(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: errors become one sentence and a code."""
    try:
        main(argv)
    except UserError as error:
        _fail(str(error), 2)
    except FailedRowsError as error:
        _fail(str(error), 1)
    except BrokenOffError as error:
        _fail(f"{error} (the whole report: {_full_report()})", 1)
    except KeyboardInterrupt:
        _fail("interrupted: what was committed stays, run again to go on", 130)
    except Exception as error:
        if not type(error).__module__.startswith(("pyspark", "py4j")):
            raise
        report = _full_report()
        _fail(f"Spark failed: {cause(error)} (the whole report: {report})", 1)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; returns None and raises, as entry points of a platform want it.

    Raises:
        UserError: a mistake that one sentence explains.
    """
    given = spelled_out(sys.argv[1:] if argv is None else argv, commands)
    try:
        commands.main(args=given, prog_name="instructmining", standalone_mode=False)
    except click.UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # since click 8.2; before, it just printed
            click.echo(error.format_message())
            return
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        raise UserError(error.format_message() + hint) from None
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _full_report() -> Path:
    """Write the error at hand, with what Spark says of it, behind what the JVM has logged."""
    from instructmining.spark.session import jvm_log

    with suppress(OSError), jvm_log().open("a", encoding="utf-8") as log:
        traceback.print_exc(file=log)  # the disk may be what is full
    return jvm_log()


def _fail(message: str, code: int) -> None:
    print(f"instructmining: {message}", file=sys.stderr)
    raise SystemExit(code)
