"""Show what `score` would read: no model, no store; Spark only for tables and other places."""

from pathlib import Path
from typing import TYPE_CHECKING

from instructmining.layouts.columns import check_columns
from instructmining.preview.facts import Preview, is_local, preview_of, previews
from instructmining.preview.page import preview_page
from instructmining.reading.splitting import RawRecord
from instructmining.settings.sections import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run(settings: Settings) -> str:
    """Print the preview and return it.

    Raises:
        UserError: the input is not there, or `--columns` does not make up a conversation.
    """
    if settings.read.columns:
        check_columns(settings.read.columns)
    if settings.input and all(map(is_local, settings.input)):
        page = preview_page(*previews(settings.input, settings.read))
    else:
        from instructmining.spark.session import with_session

        page = with_session(_look, settings)
    print(page)
    return page


def _look(spark: "SparkSession", settings: Settings) -> str:
    from instructmining.reading.inputs import find_inputs
    from jobs.checks.fields import first_records

    inputs, left_out = find_inputs(spark, settings.input)
    previews = []
    for data in inputs:
        raws = [raw for _, raw in first_records(spark, [data])]
        records = [RawRecord(place, raw) for place, raw in enumerate(raws, start=1)]
        empty = Preview(data.path, data.container, half=data.kind.half)
        previews.append(preview_of(empty, records, settings.read))
    return preview_page(previews, [Path(path) for path in left_out])
