"""The guides hold: what they tell to write works, and what they name exists."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from installed import ROOT

from instructmining.models.list_checks import mistakes
from instructmining.models.lists import ModelList, ModelSpec
from udfs.indicators import KINDS

DOCS = ROOT / "docs"
PAGES = [
    ROOT / "CONTRIBUTING.md",
    *(
        DOCS / f"{name}.md"
        for name in (
            "adding-an-indicator",
            "cluster",
            "databricks",
            "own-models",
            "security",
            "troubleshooting",
        )
    ),
]


def blocks(name, language):
    text = (DOCS / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_an_indicator_is_one_file_one_line_and_one_test(tmp_path):
    """The page is followed in a copy; then style, types, and the tests that a new file can break.

    These are the tests of the whole tree, of the registry and of model lists, and the new one: the
    other tests of `make check` read neither the page nor the registry.
    """
    scorer, line, test = blocks("adding-an-indicator.md", "python")
    copy_repository(tmp_path)
    (tmp_path / "udfs/indicators/repeated_words.py").write_text(scorer, encoding="utf-8")
    registry = tmp_path / "udfs/indicators/__init__.py"
    before = registry.read_text(encoding="utf-8")
    after = before.replace('    "sentence_encoder":', f'{line}    "sentence_encoder":', 1)
    assert after != before
    registry.write_text(after, encoding="utf-8")
    reference = tmp_path / "tests/reference/test_repeated_words_reference.py"
    reference.write_text(test, encoding="utf-8")

    run(tmp_path, "ruff", "check", "--no-cache", ".")
    run(tmp_path, "ruff", "format", "--no-cache", "--check", ".")
    run(tmp_path, "mypy", f"--cache-dir={ROOT / '.mypy_cache'}")  # the copy differs by one file
    tests = ["tests/unit/repository", "tests/unit/running/test_scorers.py", "tests/unit/models"]
    # Not this test again, nor the one that runs mypy, which has just been run.
    others = ["-k", "not one_file_one_line_and_one_test and not test_types"]
    done = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", *others, *tests)
    assert " passed" in done
    assert "1 passed" in run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", reference)


def copy_repository(folder):
    """What git has or would add, as it is in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run(folder, module, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_new_indicator_s_name_is_free():
    [listed] = blocks("adding-an-indicator.md", "yaml")
    entries = yaml.safe_load(listed)["classifiers"]
    assert mistakes({}, {name: ModelSpec(**entry) for name, entry in entries.items()}) == []


def test_the_model_list_of_the_guide_is_one():
    [listed] = blocks("own-models.md", "yaml")
    found = ModelList(**yaml.safe_load(listed))
    assert set(found.stages) == {"reward", "perplexity", "embed", "mtld", "toxicity", "words"}


def test_the_kinds_of_the_guide_are_registered():
    text = (DOCS / "own-models.md").read_text(encoding="utf-8")
    kinds = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert {"causal_lm", "python"} < kinds <= set(KINDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_messages_of_troubleshooting_are_those_of_the_code():
    code = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for folder in ("instructmining", "jobs", "udfs")
        for path in sorted((ROOT / folder).rglob("*.py"))
    )
    elsewhere = (
        "Java gateway",
        "JAVA_HOME",
        "unresolved dependency",
        "ModuleNotFoundError",
        "No module named",
        "Container killed",
        "VACUUM",
        "pip install",
        "unknown setting",
    )
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    for cell in re.findall(r"^\| (`.*?) \| ", text, re.MULTILINE):
        for message in re.findall(r"`([^`]+)`", cell):
            if message.startswith(elsewhere):
                continue
            parts = re.split(
                r"…|\bX\b|\bN\b|\bM\b|\bOUT\b|measure\.chunk_row|maintain\.\w+", message
            )
            for part in (each.strip(" ;:.?()") for each in parts):
                assert part in code, f"{message!r}: {part!r}"
