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
    parts = [_of_file(preview) for preview in previews]
    if left_out:
        named = [f"left out, not a data file: {path}" for path in left_out[:_LISTED]]
        parts.append("\n".join(named))
    return "\n\n".join(parts)


def _of_file(preview: Preview) -> str:
    kind = _CONTAINERS.get(preview.container, preview.container)
    lines = [f"{preview.path} · {kind}{_rows(preview)} · looked at {preview.sampled:,}"]
    layouts = ", ".join(f"{name} {count:,}" for name, count in preview.layouts.most_common())
    lines.append(_line("layout", layouts or "none"))
    for role in _FIELDS:
        names = preview.fields.get(role)
        if names:
            lines.append(_line(role, ", ".join(name for name, _ in names.most_common(_LISTED))))
    lines += _table("not read", [_unread(preview, name) for name in preview.unread])
    lines += _table("quarantined", [_refused(preview, reason) for reason in preview.refused])
    if preview.half:
        other = {"questions": "answers", "answers": "questions"}[preview.half]
        lines.append(_line("note", f"these are the {preview.half}: give the file of {other} too"))
    for number, messages in enumerate(preview.examples, start=1):
        lines.append(f"  example {number}")
        lines += [
            _line(f"  {message['role']}", shown(message["content"], _CUT)) for message in messages
        ]
    return "\n".join(lines)


def _rows(preview: Preview) -> str:
    if preview.rows is None:
        return ""
    return f" · {'' if preview.exact else 'about '}{preview.rows:,} rows"


def _unread(preview: Preview, name: str) -> str:
    return f"{name} (in {preview.unread_rows[name]:,}), as in: {preview.unread[name]}"


def _refused(preview: Preview, reason: str) -> str:
    return f"{preview.refused[reason]:,} {reason}: {preview.details[reason]}"


def _table(title: str, rows: list[str]) -> list[str]:
    more = [f"and {len(rows) - _LISTED} more"] if len(rows) > _LISTED else []
    titles = [title, *[""] * _LISTED]
    return [_line(name, row) for name, row in zip(titles, [*rows[:_LISTED], *more], strict=False)]


def _line(title: str, value: Any) -> str:
    return f"  {title:<{_WIDTH}}{value}"
