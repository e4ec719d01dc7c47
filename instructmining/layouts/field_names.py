"""Names of fields as people write them in options: dotted paths, and names in double quotes.

`meta.lang` is the field `lang` of the object `meta`. A name that holds a comma or a dot stands in
double quotes: `"Question, full"`, `meta."a.b"`. A double quote in such a name is doubled.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

_QUOTED = r'"(?:[^"]|"")*"'
# A quote opens only where a name or a step of a path can begin: `6" pipe` is a name as it stands.
_PART = re.compile(rf"(?:(?<![^=.,\s]){_QUOTED}|[^,])+")
_STEP = re.compile(rf"(?:^|\.)(?:({_QUOTED})(?=\.|$)|([^.]*))")


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
