"""How the code is laid out, in numbers: `python -m bench.structure [REVISION ...]`.

Without a revision the working tree is read; with some, one column each and the working tree last.
Files are parsed, never imported.
"""

import argparse
import ast
import io
import re
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

PACKAGES = ("instructmining", "udfs", "jobs")
ALL = (*PACKAGES, "bench", "training", "tests")
WEAK_NAMES = ("found", "each", "given", "told", "kept")

Sources = dict[str, str]  # path to text of every Python file


@dataclass(frozen=True)
class Function:
    """A function that takes the settings of every command, and whom it hands them to."""

    room: str
    name: str
    hands_to: frozenset[str]


def working_tree(root: Path = Path()) -> Sources:
    """The Python files below a folder."""
    files = (file for name in ALL for file in (root / name).rglob("*.py"))
    return {str(file.relative_to(root)): file.read_text(encoding="utf-8") for file in files}


def at_revision(revision: str) -> Sources:
    """The Python files of a commit."""
    packed = subprocess.run(["git", "archive", revision, *ALL], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(".py")]
        return {m.name: archive.extractfile(m).read().decode() for m in members}  # type: ignore[union-attr]


def modules_per_room(sources: Sources) -> Counter[str]:
    """Folder to its modules, `__init__` apart, in the three packages."""
    return Counter(
        str(Path(path).parent)
        for path in sources
        if path.startswith(PACKAGES) and not path.endswith("__init__.py")
    )


def circles(sources: Sources) -> list[list[str]]:
    """Groups of modules that import each other, imports inside of functions counted."""
    names = {_module(path): path for path in sources if path.startswith(PACKAGES)}
    imports = {
        name: {target for target in _imports(sources[path], names) if target != name}
        for name, path in names.items()
    }
    return [sorted(group) for group in _strongly_connected(imports) if len(group) > 1]


def exempt_lines(sources: Sources) -> int:
    """Lines that the formatter may not lay out."""
    return sum(text.count("# fmt: skip") for text in sources.values())


def lines(sources: Sources, *folders: str) -> int:
    """Lines of the files in these folders."""
    return sum(len(text.splitlines()) for path, text in sources.items() if path.startswith(folders))


def longest_file(sources: Sources) -> tuple[int, str]:
    """Lines and path of the longest file of the three packages."""
    return max((len(t.splitlines()), p) for p, t in sources.items() if p.startswith(PACKAGES))


def weak_names(sources: Sources, *folders: str) -> int:
    """Places that bind a name which does not say what it holds."""
    trees = (ast.parse(text) for path, text in sources.items() if path.startswith(folders))
    return sum(_bound(node) in WEAK_NAMES for tree in trees for node in ast.walk(tree))


def way_of_settings(sources: Sources) -> tuple[int, int, int]:
    """Functions that take the settings of every command, their folders, the longest chain."""
    takers = takers_of_settings(sources)
    hands_to: dict[str, frozenset[str]] = {}
    for taker in takers:  # of two with one name, what either hands them to
        hands_to[taker.name] = hands_to.get(taker.name, frozenset()) | taker.hands_to
    longest = max((_chain(name, hands_to, frozenset()) for name in hands_to), default=0)
    return len(takers), len({taker.room for taker in takers}), longest


def takers_of_settings(sources: Sources) -> list[Function]:
    """The functions that take the settings of every command; a job's `run` is one."""
    takers = []
    for path, text in sources.items():
        if not path.startswith(PACKAGES):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.args, *node.args.kwonlyargs]
                taken = {a.arg for a in arguments if _annotation(a) == "Settings"}
                if taken:
                    room = str(Path(path).parent)
                    takers.append(Function(room, node.name, _receivers(node, taken)))
    return takers


def _annotation(argument: ast.arg) -> str:
    return ast.unparse(argument.annotation) if argument.annotation else ""


def _receivers(function: ast.FunctionDef, taken: set[str]) -> frozenset[str]:
    """Names of the functions that are called with the settings as they are."""
    receivers = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(isinstance(value, ast.Name) and value.id in taken for value in values):
                receivers.add(ast.unparse(node.func).rpartition(".")[2])
    return frozenset(receivers)


def _chain(name: str, hands_to: Mapping[str, frozenset[str]], seen: frozenset[str]) -> int:
    seen |= {name}
    further = (other for other in hands_to[name] if other in hands_to and other not in seen)
    return 1 + max((_chain(other, hands_to, seen) for other in further), default=0)


def _bound(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    return node.arg if isinstance(node, ast.arg) else None


def _module(path: str) -> str:
    return re.sub(r"(/__init__)?\.py$", "", path).replace("/", ".")


def _imports(text: str, names: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                target = inner if inner in names else node.module
                if target in names:
                    yield target


def _strongly_connected(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Groups in which each reaches each; small graphs, so by what each one reaches."""
    reached = {name: _reached(name, graph) for name in graph}
    groups: list[set[str]] = []
    placed: set[str] = set()
    for name in graph:
        if name not in placed:
            group = {other for other in reached[name] if name in reached[other]} | {name}
            groups.append(group)
            placed |= group
    return groups


def _reached(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph[waiting.pop()] - reached:
            reached.add(target)
            waiting.append(target)
    return reached


def figures(sources: Sources) -> dict[str, str]:
    """What the command prints, by name."""
    rooms = modules_per_room(sources)
    largest, count = rooms.most_common(1)[0]
    code = lines(sources, *(f"{name}/" for name in PACKAGES))
    tests = lines(sources, "tests/")
    functions, folders, chain = way_of_settings(sources)
    length, path = longest_file(sources)
    return {
        "folders of the three packages": str(len(rooms)),
        "modules of the largest folder": f"{count} ({largest})",
        "modules that import each other": str(sum(map(len, circles(sources)))),
        "lines exempt from the formatter": str(exempt_lines(sources)),
        "lines of the three packages": f"{code:,}",
        "lines of tests": f"{tests:,}",
        "tests : code": f"{tests / code:.2f}",
        "longest file": f"{length} ({path})",
        f"names {', '.join(WEAK_NAMES)}": str(weak_names(sources, *PACKAGES)),
        "functions that take all settings": f"{functions} in {folders} folders",
        "longest chain of them": str(chain),
    }


def main() -> None:
    """Print the figures of each revision and of the working tree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("revisions", nargs="*")
    revisions = parser.parse_args().revisions
    columns = [figures(at_revision(name)) for name in revisions] + [figures(working_tree())]
    table = Table(title="structure", title_justify="left")
    for heading in ("", *revisions, "working tree"):
        table.add_column(heading, overflow="fold")
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    Console(width=120).print(table)
    rooms = Table(title="modules per folder", title_justify="left")
    rooms.add_column("folder")
    rooms.add_column("modules", justify="right")
    for room, count in sorted(modules_per_room(working_tree()).items()):
        rooms.add_row(room, str(count))
    Console(width=120).print(rooms)


if __name__ == "__main__":
    main()
