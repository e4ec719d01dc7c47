"""Where the records are in a record that is a whole file, such as a page of a viewer.

The hint is given only where a layout reads what it leads to.
"""

import json
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from instructmining.layouts.records import OBJECT

_DEPTH = 4  # names and lists on the way
_SEEN = 64  # values that are looked at
_PLAIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def path_to_records(record: Any, is_readable: Callable[[Any], bool]) -> str | None:
    """The path to the records inside of a record, as jq writes it: `.rows[].row`; None without any.

    Args:
        record: a decoded JSON value that is no record itself.
        is_readable: whether a value is a record. Of a list its first value decides.
    """
    waiting = deque([("", record, 0, False)])
    for _ in range(_SEEN):
        if not waiting:
            break
        path, value, depth, is_listed = waiting.popleft()
        if is_listed and isinstance(value, OBJECT) and is_readable(value):
            return path
        if depth < _DEPTH and isinstance(value, OBJECT):
            waiting += [
                (path + _step(name), inner, depth + 1, is_listed) for name, inner in value.items()
            ]
        elif depth < _DEPTH and isinstance(value, list) and value:
            waiting.append((f"{path or '.'}[]", value[0], depth + 1, True))
    return None


def _step(name: str) -> str:
    return f".{name}" if _PLAIN.fullmatch(name) else f".[{json.dumps(name, ensure_ascii=False)}]"
