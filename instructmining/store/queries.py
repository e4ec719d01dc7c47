"""Queries of a file by their names, `docs/queries.sql` above all."""

import re
from pathlib import Path
from string import Template

from instructmining.errors import UserError
from instructmining.spark.paths import absolute
from instructmining.store.definition_sql import sql_text

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_END = re.compile(r";\s*$", re.MULTILINE)


def read_queries(file: str, store: str, pool: str, rule: str) -> dict[str, list[str]]:
    """By name, in the order of the file, each query's statements with the placeholders filled in.

    Args:
        file: SQL; a query begins with `-- name: NAME`, a statement ends with `;` at a line's end.
        store: folder, for `${store}`; it stands between backticks.
        pool: for `${pool}`; it stands between single quotes, as does
        rule: a rule's name, for `${rule}`.

    Raises:
        UserError: the file cannot be read, or has an unknown placeholder.
    """
    try:
        _, *parts = _NAME.split(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    values = {
        "store": absolute(store).replace("`", "``"),
        "pool": sql_text(pool)[1:-1],
        "rule": sql_text(rule)[1:-1],
    }
    try:
        filled = [Template(part).substitute(values) for part in parts[1::2]]
    except KeyError as error:
        raise UserError(f"{file}: no such placeholder: {error.args[0]}") from None
    return {
        name: [statement.strip() for statement in _END.split(text) if statement.strip()]
        for name, text in zip(parts[::2], filled, strict=True)
    }
