"""Spark's own settings among ours: `spark.driver.memory`, written flat or nested."""

from collections.abc import Iterator, Mapping
from typing import Any

from instructmining.errors import UserError

_PREFIX = "spark."


def with_spark_keys(layer: Mapping[str, Any]) -> dict[str, Any]:
    """A layer of settings with all of Spark's in one flat mapping under `spark`.

    `spark: {driver: {memory: 6g}}`, `spark: {driver.memory: 6g}` and `spark.driver.memory: 6g`
    are the same. Names in the mapping have no `spark.` in front.

    Raises:
        UserError: a value is a list, or the master is among them.
    """
    rest = {key: value for key, value in layer.items() if not _is_spark(key)}
    ours = {key: value for key, value in layer.items() if _is_spark(key)}
    if ours == {"spark": None}:
        return dict(layer)
    flat = dict(_flat("", ours))
    if "master" in flat:
        raise UserError("spark.master: name the master in the environment, SPARK_MASTER")
    if ours:
        return {**rest, "spark": flat}
    return {**rest, "spark": None} if "spark" in layer else rest


def _is_spark(key: str) -> bool:
    return key == "spark" or key.startswith(_PREFIX)


def _flat(name: str, value: Any) -> Iterator[tuple[str, str | None]]:
    """Names and values as Spark takes them; null stays, for it undoes an earlier layer."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, list) or not _short(name):
        raise UserError(
            f"{name.removeprefix('.') or 'spark'}: name one value of Spark's, as in "
            "spark.driver.memory=6g"
        )
    else:
        yield _short(name), _text(value)


def _short(name: str) -> str:
    """The name without `spark.`, which may stand twice: at the mapping and in it."""
    parts = name.strip(".").split(".")
    while parts and parts[0] == "spark":
        del parts[0]
    return ".".join(parts)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)
