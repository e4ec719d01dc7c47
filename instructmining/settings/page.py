"""docs/settings.md, written from the sections: `python -m instructmining.settings.page`."""

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from instructmining.settings.sections import Settings

_INTRODUCTION = """# Settings

This page is written by `python -m instructmining.settings.page > docs/settings.md`.

Put the settings that you change into a file, `--settings mine.yml`, or give single ones,
`--set knn.neighbors=10`. A dot goes one level down; a name that has a dot itself stands in double
quotes: `--set 'select.quota."part.jsonl"=9'`.

```yaml
pool: dolly
knn: {neighbors: 10}
```

Later ones win: [conf/base.yml](../conf/base.yml), the file, `--set`, then the options of a command.
`null` puts a setting, or a whole section, back to its default. An unknown name is refused with the
nearest known one.
"""


def settings_page() -> str:
    """The page: one table for what stands alone, then one for each section."""
    alone = [name for name in Settings.model_fields if not _section(name)]
    parts = [_INTRODUCTION, "## General\n", _table(Settings(), "", alone)]
    for name in Settings.model_fields:
        section = _section(name)
        if section is not None:
            about = " ".join((type(section).__doc__ or "").split())
            table = _table(section, f"{name}.", list(type(section).model_fields))
            parts += [f"## {name}\n", f"{about}\n", table]
    return "\n".join(parts)


def _section(name: str) -> BaseModel | None:
    value = getattr(Settings(), name)
    return value if isinstance(value, BaseModel) else None


def _table(section: BaseModel, prefix: str, names: list[str]) -> str:
    return (
        "\n".join(
            ["| setting | default | what it is |", "|---|---|---|", *_rows(section, prefix, names)]
        )
        + "\n"
    )


def _rows(section: BaseModel, prefix: str, names: list[str]) -> Iterator[str]:
    for name in names:
        description = (type(section).model_fields[name].description or "").replace("|", "\\|")
        yield f"| `{prefix}{name}` | `{_as_yaml(getattr(section, name))}` | {description} |"


def _as_yaml(value: Any) -> str:
    """The default on one line, as a settings file would have it."""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000).strip()
    return text.removesuffix("...").strip()


if __name__ == "__main__":
    print(settings_page(), end="")
