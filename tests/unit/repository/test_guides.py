"""The guides hold: what they tell to write works, and what they name exists."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml
from installed import ROOT

from instructmining.models.lists import ModelList
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


def test_an_indicator_is_one_file_one_line_and_one_test(tmp_path):
    scorer, line, test = blocks("adding-an-indicator.md", "python")
    for package in ("instructmining", "udfs", "conf"):
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__", "embedded"),
        )
    (tmp_path / "udfs" / "repetition.py").write_text(scorer, encoding="utf-8")
    models = tmp_path / "instructmining" / "models.py"
    before = models.read_text(encoding="utf-8")
    after = before.replace('    "sentence_encoder":', f'{line}    "sentence_encoder":', 1)
    assert after != before
    models.write_text(after, encoding="utf-8")
    (tmp_path / "test_repetition_reference.py").write_text(test, encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            "test_repetition_reference.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_model_list_of_the_guide_is_one():
    [listed] = blocks("own-models.md", "yaml")
    found = ModelList(**yaml.safe_load(listed))
    assert set(found.stages) == {"reward", "perplexity", "embed", "mtld", "toxicity", "words"}


def test_every_kind_is_in_the_guide():
    text = (DOCS / "own-models.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(KINDS)


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
