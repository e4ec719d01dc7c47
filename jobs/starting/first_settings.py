"""A settings file for data that were just looked at, with a comment on each line that matters."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from instructmining.errors import UserError
from instructmining.packaged import data_named
from instructmining.preview.facts import Preview, is_local, previews
from instructmining.settings.sections import Read, Settings

_SHORT = 40  # characters; a field that is no longer is likely a label to keep
_KEPT = 6
_PARTS = ("system", "prompt", "response")


def write_settings(data: Sequence[str], to: Path, overwrite: bool) -> str:
    """Look at the first records, write the file, and return what to type next.

    Args:
        data: files, folders, or `hf:` names; what only Spark can read is refused.
        to: the file to write.
        overwrite: replace it if it is there.

    Raises:
        UserError: the file is there, or the data cannot be looked at.
    """
    if to.exists() and not overwrite:
        raise UserError(f"{to} exists: name another file with --to, or --overwrite")
    if not data:
        raise UserError("name your data: instructmining init FILE…")
    unseen = [name for name in data if not is_local(data_named(name))]
    if unseen:
        raise UserError(f"{unseen[0]} is read by Spark only: write the settings by hand")
    pages, _ = previews([*map(data_named, data)], Read())
    to.write_text("\n".join(_lines(data, pages)) + "\n", encoding="utf-8")
    return (
        f"{to} is written; read it, then\n"
        f"  instructmining preview --settings {to}\n"
        f"  instructmining score --settings {to} --dry-run\n"
        f"  instructmining score --settings {to}"
    )


def _lines(data: Sequence[str], pages: Sequence[Preview]) -> Iterator[str]:
    default = Settings()
    yield "# Written by `instructmining init`. docs/settings.md has every setting."
    yield _setting("input", list(data))
    yield ""
    yield "# The tables with everything that is measured: a folder, or catalog.schema."
    yield _setting("store", default.store)
    yield "# Examples of a pool are compared with each other; other data may get another pool."
    yield _setting("pool", _pool(data))
    yield ""
    yield from _reading(pages)
    yield ""
    yield "# embedded needs no network and tells broken responses from sound ones; for decisions"
    yield "# about real data use modern on a GPU, which downloads weights."
    yield _setting("models", default.models)
    yield "# none: no MLflow."
    yield f"tracking: {{uri: {_value(default.tracking.uri)}}}"


def _reading(pages: Sequence[Preview]) -> Iterator[str]:
    layouts: Counter[str] = Counter()
    for page in pages:
        layouts.update(page.layouts)
    refused = sum((page.refused for page in pages), Counter[str]())
    rows = sum(page.sampled for page in pages)
    named = ", ".join(f"{name} {count:,}" for name, count in layouts.most_common())
    yield f"# Of {rows:,} records that were looked at: {named or 'none has a known layout'}."
    for part in _PARTS:
        fields = sum((page.fields.get(part, Counter()) for page in pages), Counter[str]())
        if fields:
            yield f"#   {part}: {', '.join(name for name, _ in fields.most_common(4))}"
    for reason, count in refused.most_common(3):
        detail = next(page.details[reason] for page in pages if reason in page.details)
        yield f"#   quarantined: {count:,} {reason}: {' '.join(detail.split())}"
    yield "read:"
    if not layouts:
        yield "  # Name your own fields: one holds the prompt of a record, one the response."
        yield "  columns: {prompt: FIELD, response: FIELD}"
    yield "  # Fields to keep beside the scores, for quotas and reports."
    yield f"  keep: {_value(_labels(pages))}"
    yield "  # Your own key of a record; null: none."
    yield "  id: null"


def _labels(pages: Sequence[Preview]) -> list[str]:
    """Fields that no layout read, with a short text: sources, topics, languages."""
    unread = {name: text for page in pages for name, text in page.unread.items()}
    plain = [name for name in unread if "[" not in name and "." not in name]
    return [name for name in plain if len(unread[name]) <= _SHORT][:_KEPT]


def _pool(data: Sequence[str]) -> str:
    """A name for the pool: that of the first file or folder, without its endings."""
    name = Path(data[0].rpartition(":")[2].rstrip("/")).name.split(".")[0]
    return name or "default"


def _setting(name: str, value: object) -> str:
    return f"{name}: {_value(value)}"


def _value(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.strip().removesuffix("...").strip()
