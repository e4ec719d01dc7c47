"""Names of fields as people write them in options: dotted paths, and names in double quotes.

`meta.lang` is the field `lang` of the object `meta`. A name that holds a comma or a dot stands in
double quotes: `"Question, full"`, `meta."a.b"`. A double quote in such a name is doubled. The paths
to records that a record holds are written as the program jq takes them.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

_QUOTED = r'"(?:[^"]|"")*"'
# A quote opens only where a name or a step of a path can begin: `6" pipe` is a name as it stands.
_PART = re.compile(rf"(?:(?<![^=.,\s]){_QUOTED}|[^,])+")
_STEP = re.compile(rf"(?:^|\.)(?:({_QUOTED})(?=\.|$)|([^.]*))")
_DEPTH = 4  # names and lists on the way
_SEEN = 64  # values that are looked at
_PLAIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def split_names(text: str) -> list[str]:
    """What the commas outside of double quotes separate, without blanks around it."""
    return [part.strip() for part in _PART.findall(text) if part.strip()]


def unquoted(name: str) -> str:
    """A name without the double quotes around the whole of it; any other as it is."""
    if re.fullmatch(_QUOTED, name):
        return name[1:-1].replace('""', '"')
    return name


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[str, ...]:
    """The names of a dotted path: `meta."a.b".0` is `meta`, `a.b`, `0`."""
    if '"' not in path:
        return tuple(path.split("."))
    return tuple(unquoted(quoted) if quoted else plain for quoted, plain in _STEP.findall(path))


def written(path: Iterable[str]) -> str:
    """The names of a path as `--columns` takes them, quoted where they have to be."""
    return ".".join(_written(name) for name in path)


def _written(name: str) -> str:
    if re.search(r'[,."]', name) or name != name.strip() or not name:
        return '"' + name.replace('"', '""') + '"'
    return name


def path_to_records(record: Any, is_readable: Callable[[Any], bool]) -> str | None:
    """The path to the records inside of a record, as jq writes it: `.rows[].row`; None without any.

    It is given only where a layout reads what it leads to.

    Args:
        record: a decoded JSON value that is not a record itself.
        is_readable: whether a value is a record. Of a list its first value decides.
    """
    waiting = deque([("", record, 0, False)])
    for _ in range(_SEEN):
        if not waiting:
            break
        path, value, depth, is_listed = waiting.popleft()
        if is_listed and isinstance(value, Mapping) and is_readable(value):
            return path if path.startswith(".") else f".{path}"
        if depth < _DEPTH and isinstance(value, Mapping):
            waiting += [
                (path + _step(name), inner, depth + 1, is_listed) for name, inner in value.items()
            ]
        elif depth < _DEPTH and isinstance(value, list) and value:
            waiting.append((f"{path}[]", value[0], depth + 1, True))
    return None


def _step(name: str) -> str:
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name, ensure_ascii=False)}]"
