"""The text that `instructmining preview` prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instructmining.layouts.unread import shown
from instructmining.preview.facts import Preview

_CONTAINERS = {
    "lines": "JSON lines",
    "objects": "JSON objects",
    "array": "JSON array",
    "csv": "CSV",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "orc": "ORC",
    "avro": "Avro",
    "delta": "Delta table",
}
_WIDTH = 12
_FIELDS = ("system", "prompt", "response", "tool", "transcript", "kept")
_LISTED = 12
_CUT = 300  # characters of a turn


def preview_page(previews: Sequence[Preview], left_out: Sequence[Path]) -> str:
    """All previews, then the files that are left out."""
    parts = [_of_file(each) for each in previews]
    if left_out:
        named = [f"left out, not a data file: {path}" for path in left_out[:_LISTED]]
        parts.append("\n".join(named))
    return "\n\n".join(parts)


def _of_file(found: Preview) -> str:
    kind = _CONTAINERS.get(found.container, found.container)
    lines = [f"{found.path} · {kind}{_rows(found)} · looked at {found.sampled:,}"]
    layouts = ", ".join(f"{name} {count:,}" for name, count in found.layouts.most_common())
    lines.append(_line("layout", layouts or "none"))
    for role in _FIELDS:
        names = found.fields.get(role)
        if names:
            lines.append(_line(role, ", ".join(name for name, _ in names.most_common(_LISTED))))
    lines += _table("not read", [_unread(found, name) for name in found.unread])
    lines += _table("quarantined", [_refused(found, reason) for reason in found.refused])
    if found.half:
        other = {"questions": "answers", "answers": "questions"}[found.half]
        lines.append(_line("note", f"these are the {found.half}: give the file of {other} too"))
    for number, messages in enumerate(found.examples, start=1):
        lines.append(f"  example {number}")
        lines += [_line(f"  {each['role']}", shown(each["content"], _CUT)) for each in messages]
    return "\n".join(lines)


def _rows(found: Preview) -> str:
    if found.rows is None:
        return ""
    return f" · {'' if found.exact else 'about '}{found.rows:,} rows"


def _unread(found: Preview, name: str) -> str:
    return f"{name} (in {found.unread_rows[name]:,}), as in: {found.unread[name]}"


def _refused(found: Preview, reason: str) -> str:
    return f"{found.refused[reason]:,} {reason}: {found.details[reason]}"


def _table(title: str, rows: list[str]) -> list[str]:
    more = [f"and {len(rows) - _LISTED} more"] if len(rows) > _LISTED else []
    titles = [title, *[""] * _LISTED]
    return [_line(name, row) for name, row in zip(titles, [*rows[:_LISTED], *more], strict=False)]


def _line(title: str, value: Any) -> str:
    return f"  {title:<{_WIDTH}}{value}"
