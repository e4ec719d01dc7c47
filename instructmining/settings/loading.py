"""Settings come in layers: `conf/base.yml`, `--settings FILE`, `--set a.b=c`, then options."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from instructmining.errors import UserError
from instructmining.layouts.detection import FORMATS
from instructmining.layouts.field_names import steps
from instructmining.packaged import conf_folder, data_named
from instructmining.settings.sections import STAGES, Settings
from instructmining.settings.spark_keys import with_spark_keys
from instructmining.settings.yaml_files import explained, parse_yaml, read_yaml


def load_settings(
    file: str | None = None, sets: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> Settings:
    """Merge the layers; later ones win.

    A null in the file or in `sets` puts a setting, or a whole section, back to its default.

    Args:
        file: YAML with any part of the settings.
        sets: `a.b=value`, the value read as YAML; a key with a dot stands in double quotes.
        options: nested dictionary of command-line options; None means that an option was not
            used, and changes nothing.

    Raises:
        UserError: an unknown key (with the nearest known one), a wrong type, an unreadable file.
    """
    merged = read_yaml(conf_folder() / "base.yml", "settings file")
    if file:
        merged = _merge(merged, with_spark_keys(read_yaml(Path(file), "settings file")))
    for assignment in sets:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: write it as key.name=value")
        value_of_set = parse_yaml(value, f"--set {key}")
        for name, inner in value_of_set.items() if isinstance(value_of_set, Mapping) else ():
            if inner is None and ":" in str(name):
                raise UserError(
                    f"--set {assignment}: {name} has no value; YAML needs a space "
                    "after the colon, as in {a: 5}"
                )
        merged = _merge(merged, with_spark_keys(nested(steps(key.strip()), value_of_set)))
    merged = _merge(merged, with_spark_keys(_used(options or {})))
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise UserError(explained(error, Settings, "setting")) from None
    _check_known("stage", (s for s in settings.stages if not s.startswith("classifier:")), STAGES)
    _check_known("format", [settings.read.format], ("auto", *FORMATS))
    return settings.model_copy(update={"input": tuple(map(data_named, settings.input))})


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        nested = before if isinstance(before, Mapping) else {}
        merged[key] = _merge(nested, value) if isinstance(value, Mapping) else value
    return merged


def _used(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that have a value, at every level."""
    return {
        name: _used(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
        if value is not None
    }


def nested(keys: Sequence[str], value: Any) -> dict[str, Any]:
    """`value` under the keys, one level of mapping per key."""
    return {keys[0]: value if len(keys) == 1 else nested(keys[1:], value)}


def _check_known(what: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
            raise UserError(f"unknown {what} {name!r}{hint}")
