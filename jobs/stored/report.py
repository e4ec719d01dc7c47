"""One HTML page about a scored pool: reads tables, writes none."""

import time
from pathlib import Path

from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.report.page import gather, render
from instructmining.report.scored import at_hand, open_scores
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from instructmining.tracking.mlflow_runs import log_run

_NAME = "report.html"


def run(spark: SparkSession, settings: Settings) -> Path:
    """Write the page, log it to MLflow, and return where it is.

    Raises:
        UserError: the pool has no scores, or the page cannot be written there.
    """
    started = time.monotonic()
    store = Store.open(spark, settings.store)
    target = target_of(settings.report.to, settings.files)
    scored = open_scores(store, settings.pool, settings.rule.source, settings.tracking)
    with log_run(settings.tracking, f"report {settings.pool}") as tracked:
        with at_hand(scored):
            page = render(gather(scored, settings.report, settings.models), tracked.id)
        try:
            target.write_text(page, encoding="utf-8")
        except OSError as error:
            raise UserError(f"--to {target}: {error.strerror}") from None
        tracked.log_text(page, _NAME)
        tracked.log_params(
            {
                "store": settings.store,
                "pool": settings.pool,
                "rule": {"name": scored.rule_name, "version": scored.rule_version},
                "report": {"to": str(target.absolute())},  # where `erase` looks for it
            }
        )
    print(
        f"report of pool {settings.pool}, rule {scored.rule_name} {scored.rule_version}: "
        f"{target}, {len(page.encode()) / 1e6:.2f} MB in {time.monotonic() - started:.0f} s"
    )
    return target


def target_of(to: str | None, files: str | None) -> Path:
    """Where the page goes; a mistake in it must not cost a gathering.

    Args:
        to: the setting `report.to`.
        files: the setting `files`.

    Raises:
        UserError: not a place that a file can be written to.
    """
    path = to or str(Path(files or ".") / _NAME)
    if "://" in path:
        raise UserError(f"--to {path}: name a local file, or one in a mounted volume")
    target = Path(path).expanduser()
    if target.is_dir():
        target = target / _NAME
    if not target.parent.is_dir():
        raise UserError(f"--to {path}: there is no folder {target.parent}")
    return target
