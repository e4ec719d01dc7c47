"""The layout of the code: folders of a size to hold in the head, no circles, one direction."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from installed import ROOT

from bench import structure

SOURCES = structure.working_tree(ROOT)
ROOMS = sorted(
    folder
    for package in structure.PACKAGES
    for folder in (ROOT / package).iterdir()
    if (folder / "__init__.py").exists()
)


def test_no_module_imports_one_that_imports_it_inside_of_functions_too():
    assert structure.circles(SOURCES) == []


def test_a_circle_inside_of_functions_would_be_noticed():
    sources = {
        "jobs/a.py": "from jobs.b import f\n",
        "jobs/b.py": "def f():\n    from jobs import a\n",
        "udfs/c.py": "import jobs.a\n",
    }
    assert structure.circles(sources) == [["jobs.a", "jobs.b"]]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_says_in_one_sentence_what_belongs_there(room: Path):
    text = (room / "__init__.py").read_text(encoding="utf-8")
    sentence = ast.get_docstring(ast.parse(text)) or ""
    assert re.fullmatch(r"[A-Z`].{20,}\.", sentence, re.DOTALL), room
    modules = [file for file in room.glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= 14, [file.name for file in modules]


def test_no_two_files_of_tests_have_one_name():
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_imports_go_in_one_direction():
    below = {"instructmining": (), "udfs": ("instructmining",), "jobs": ("instructmining", "udfs")}
    for path, text in SOURCES.items():
        package = path.split("/")[0]
        for node in ast.walk(ast.parse(text) if package in below else ast.Module([], [])):
            if isinstance(node, ast.ImportFrom) and node.module:
                target = node.module.split(".")[0]
                assert target not in below or target in (package, *below[package]), path
                assert (package, target) != ("instructmining", "torch"), path


@pytest.mark.parametrize(
    "name", ["score", "select_subset", "fit_rule", "evaluate_subset", "report"]
)
def test_an_entry_file_only_calls_the_command_line(name: str):
    tree = ast.parse((ROOT / "jobs" / f"{name}.py").read_text(encoding="utf-8"))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imported == ["collections.abc", "jobs.cli"]


def test_only_a_job_and_its_set_up_take_the_settings_of_every_command():
    takers = structure.takers_of_settings(SOURCES)
    assert len([taker for taker in takers if taker.name != "run"]) <= 18, takers


def test_each_function_that_takes_all_settings_is_counted():
    sources = {
        "jobs/a.py": "def run(settings: Settings):\n    work(settings)\n",
        "jobs/b/c.py": "def run(*, settings: Settings): ...\n\n\ndef work(s: Settings): ...\n",
        "udfs/d.py": "def run(measure: Measure): ...\n",
    }
    assert structure.way_of_settings(sources) == (3, 2, 2)


def test_names_say_what_a_thing_is():
    assert structure.weak_names(SOURCES, *structure.PACKAGES) < 60


def test_a_weak_name_is_counted_where_it_is_bound_and_not_where_it_is_read():
    source = "def f(found, *, kept=1):\n    each = found\n    return [told for told in each]\n"
    assert structure.weak_names({"jobs/a.py": source}, "jobs") == 4
    assert structure.weak_names({"jobs/a.py": source}, "udfs") == 0


def test_the_formatter_lays_out_the_code():
    assert structure.exempt_lines({p: t for p, t in SOURCES.items() if "structure" not in p}) < 60


def test_no_file_of_the_packages_is_longer_than_300_lines():
    long = {
        path: len(text.splitlines())
        for path, text in SOURCES.items()
        if path.startswith(structure.PACKAGES) and len(text.splitlines()) > 300
    }
    assert long == {}
