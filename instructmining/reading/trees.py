"""Messages of trees that come one per row, as Open Assistant publishes them, joined to trees."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.layouts.detection import TREE_ROW
from instructmining.layouts.records import is_blank, plain
from instructmining.layouts.standard_form import with_standard_form
from instructmining.reading.table_rows import RECORDS
from instructmining.settings.sections import Read

_ARROW = pa.schema(
    [
        ("source", pa.string()),
        ("position", pa.int64()),
        ("raw", pa.binary()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("records", pa.int32()),
    ]
)


class Row(NamedTuple):
    """One message as it was read."""

    source: str
    position: int
    raw: str


def with_trees(rows: DataFrame, read: Read) -> DataFrame:
    """The rows in standard form, those that are messages of a tree joined to conversations.

    Args:
        rows: as `with_standard_form` gives them; a message of a tree has the reason `TREE_ROW`
            and its whole record in `raw`.
        read: how the trees are read.
    """
    is_message = F.coalesce(F.col("reason") == TREE_ROW, F.lit(False))
    message = F.struct("source", "position", "raw")
    trees = (
        rows.where(is_message)
        .groupBy(F.get_json_object("raw", "$.message_tree_id").alias("tree"))
        .agg(F.sort_array(F.collect_list(message)).alias("messages"))
        .select("messages")
    )

    def join(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for messages in batch["messages"].to_pylist():
                records = joined([Row(**each) for each in messages])
                yield pa.RecordBatch.from_pylist(records, schema=_ARROW)

    records = trees.mapInArrow(join, f"{RECORDS}, records INT")
    return rows.where(~is_message).unionByName(with_standard_form(records, read))


def joined(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The messages of a tree as one record with nested replies, in the place of its first message.

    A message that no path leads to from a first message is a record with a reason.
    """
    nodes: dict[str, dict[str, Any]] = {}
    place: dict[str, Row] = {}
    records = []
    for row in rows:
        node = {**plain(json.loads(row.raw, strict=False)), "replies": []}
        identifier = str(node["message_id"])
        if identifier in nodes:
            records.append(_lost(row, "duplicate_key", f"a message {identifier!r} came before"))
        else:
            nodes[identifier], place[identifier] = node, row
    roots = [name for name, node in nodes.items() if is_blank(node.get("parent_id"))]
    for name, node in nodes.items():
        parent = nodes.get(str(node.get("parent_id")))
        if name not in roots and parent is not None:
            parent["replies"].append(node)
    reached: set[str] = set()
    for root in roots:
        below = _below(nodes[root])
        reached |= below
        records.append(_tree(place[root], nodes[root], len(below)))
    for name in nodes.keys() - reached:
        detail = f"its parent {nodes[name].get('parent_id')!r} leads to no first message"
        records.append(_lost(place[name], "no_question", detail))
    return sorted(records, key=lambda record: (record["source"], record["position"]))


def _below(root: dict[str, Any]) -> set[str]:
    """The ids of a message and of all below it."""
    ids: set[str] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        ids.add(str(node["message_id"]))
        waiting += node["replies"]
    return ids


def _tree(row: Row, root: dict[str, Any], count: int) -> dict[str, Any]:
    tree = {"message_tree_id": root.get("message_tree_id"), "prompt": root}
    try:
        raw = json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except RecursionError:
        return _lost(row, "nested_too_deep", "the tree's nesting is too deep to read") | {
            "records": count
        }
    return {
        "source": row.source,
        "position": row.position,
        "raw": raw,
        "reason": None,
        "detail": None,
        "records": count,
    }


def _lost(row: Row, reason: str, detail: str) -> dict[str, Any]:
    return {
        "source": row.source,
        "position": row.position,
        "raw": row.raw.encode("utf-8", "surrogatepass"),
        "reason": reason,
        "detail": detail,
        "records": 1,
    }
