"""Which fields of a record, as it came, hold its conversation: a trainer reads one such shape."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from instructmining.layouts.turn_lists import CONTENTS, SPEAKERS

_OF_TURNS = frozenset((*SPEAKERS, *CONTENTS))
MESSAGES = "messages (messages: role, content)"


def shape_of(layout: str, raw: str, asked: str, said: str) -> str:
    """The layout and the fields that hold the text, such as `alpaca (instruction, output)`.

    Fields beside the conversation do not count, nor do those that may be blank (`input`), so that
    the records of one file have one shape.

    Args:
        layout: what the record was read as.
        raw: the record as JSON.
        asked: the last message of the user.
        said: the response.
    """
    try:
        record = json.loads(raw, strict=False)
    except ValueError:  # a number of more digits than Python converts
        return layout
    turns = {name: _turn_fields(value) for name, value in record.items()}
    lists = [f"{name}: {', '.join(names)}" for name, names in turns.items() if names]
    fields = lists or _text_fields(record, asked, said)
    if fields == ["messages: role, content"]:  # also what was made of a pair or a tree
        return MESSAGES
    return f"{layout} ({', '.join(fields)})" if fields else layout


def count_shapes(rows: DataFrame) -> Counter[str]:
    """How many rows have which shape.

    Args:
        rows: with the columns `format`, `raw`, `messages` and `response` of `examples`.
    """

    def shapes(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            shapes_of_rows = [shape_of_row(row) for row in batch.to_pylist()]
            yield pa.RecordBatch.from_pydict({"shape": pa.array(shapes_of_rows, pa.string())})

    chosen = rows.select("format", "raw", "messages", "response")
    counted = chosen.mapInArrow(shapes, "shape STRING").groupBy("shape").count()
    return Counter({row["shape"]: row["count"] for row in counted.collect()})


def shape_of_row(row: Mapping[str, Any]) -> str:
    """`shape_of` a row of `examples`."""
    asked = [message["content"] for message in row["messages"] if message["role"] == "user"]
    return shape_of(row["format"], row["raw"], asked[-1] if asked else "", row["response"])


def short_names(shapes: Iterable[str]) -> dict[str, str]:
    """A short name for each shape: its layout, with the fields where two have the same layout."""
    layouts = {shape: shape.partition(" ")[0] for shape in shapes}
    counts = Counter(layouts.values())
    return {
        shape: layout if counts[layout] == 1 else "-".join(re.findall(r"\w+", shape))
        for shape, layout in layouts.items()
    }


def _turn_fields(value: Any) -> list[str]:
    """The fields of the first turn that name the speaker and hold the text."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return []
    return [name for name in value[0] if name.lower() in _OF_TURNS]


def _text_fields(record: Mapping[str, Any], asked: str, said: str) -> list[str]:
    texts = {name: value for name, value in record.items() if isinstance(value, str) and value}
    prompt = next((name for name, value in texts.items() if asked.startswith(value)), None)
    response = next((name for name, value in texts.items() if value == said), None)
    return [name for name in (prompt, response) if name is not None]
