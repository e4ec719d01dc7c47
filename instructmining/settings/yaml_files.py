"""YAML that a user wrote: read as a mapping, and its mistakes in one sentence each."""

import difflib
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from instructmining.errors import UserError


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a file; an empty file is an empty one.

    Raises:
        UserError: it cannot be read, is not YAML, or is something else than a mapping.
    """
    try:
        mapping = parse_yaml(path.read_text(encoding="utf-8"), f"{what} {path}")
    except OSError as error:
        raise UserError(f"{what} {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} is not UTF-8 (byte {error.start})") from None
    if mapping is None:
        return {}
    if not isinstance(mapping, dict):
        raise UserError(f"{what} {path} has to be lines of `name: value`, not {mapping!r:.60}")
    return {str(name): value for name, value in mapping.items()}


def parse_yaml(text: str, where: str) -> Any:
    """A YAML value.

    Raises:
        UserError: it is not YAML; with the line, where there are several.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark and "\n" in text else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise UserError(f"{where} is not YAML: {problem}{line}") from None


def explained(error: ValidationError, model: type[BaseModel], noun: str) -> str:
    """The first thing that is wrong; of an unknown name with the nearest one there is."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        known = _fields(model, where[:-1])
        near = difflib.get_close_matches(where[-1], known, n=1)
        hint = f"; did you mean {'.'.join([*where[:-1], near[0]])}?" if near else ""
        return f"unknown {noun} {'.'.join(where)}{hint or '; there are ' + ', '.join(known)}"
    if first["type"] == "missing":
        return f"{noun} {'.'.join(where)} is missing"
    if first["type"] == "value_error":  # a sentence of ours, about several values together
        place = f"{noun} {'.'.join(where)}: " if where else ""
        return f"{place}{first['ctx']['error']}"
    about = _description(model, where)
    return f"{noun} {'.'.join(where)}: {first['msg']} (given: {first['input']!r:.100}){about}"


def _description(model: Any, path: list[str]) -> str:
    """What the field at the path is, to end an error with; nothing where it says nothing."""
    fields: Any = getattr(model, "model_fields", {})
    for step in path[:-1]:
        fields = getattr(fields[step].annotation, "model_fields", {}) if step in fields else {}
    text = fields[path[-1]].description if path and path[-1] in fields else None
    return f". {text}" if text else ""


def _fields(model: Any, path: list[str]) -> list[str]:
    """Names of the fields of the section at the path; sections may be optional, or in a dict."""
    for part in path:
        fields = getattr(model, "model_fields", None)
        model = fields[part].annotation if fields else get_args(model)[-1]
        kinds = [kind for kind in get_args(model) if kind is not NoneType]
        if len(kinds) == 1:
            model = kinds[0]
    return list(getattr(model, "model_fields", ()))
