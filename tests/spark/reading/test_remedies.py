"""Every command that a message offers works: it is run, and what comes out is scored."""

import gzip
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from test_cases import FOLDER

from bench.harness.case_list import CASES, Case
from bench.harness.trial import Trial

PAIRS = [("Nenne eine rote Frucht.", "Eine Kirsche."), ("何色？", "赤。"), ("Why?", "Because.")]
RECORDS = [{"question": q, "answer": a} for q, a in PAIRS]
PROGRAMS = ("cat ", "zcat ", "bzcat ", "zstdcat ", "zstd ", "jq ", "instructmining ")


def commands(trial: Trial) -> list[str]:
    """The whole commands in backticks, and options that stand in the text with their quotes."""
    text = "\n".join([trial.text, *trial.quarantined])
    quoted = [each for each in re.findall(r"`([^`]+)`", text) if each.startswith(PROGRAMS)]
    return list(dict.fromkeys([*quoted, *re.findall(r"--columns '[^'…]+'", text)]))


def follow(command: str, trial: Trial, folder: Path) -> Trial:
    """Run a remedy as a person would, then score what it made into a store of its own."""
    folder.mkdir()
    after = Trial(trial.given, folder)
    if command.startswith("--columns"):
        return after.score(*shlex.split(command))
    if command.startswith("instructmining"):
        name, *rest = shlex.split(command)[1:]
        return trial.run(name, *rest)
    subprocess.run(["bash", "-ec", command], cwd=folder, check=True, timeout=60)
    made = [path for path in folder.iterdir() if path != after.store]
    made += [path for path in trial.given.parent.iterdir() if path != trial.given]
    return after.score(given=made[0])


def as_lines(records: list[object]) -> bytes:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records).encode()


PAGE = {"columns": [{"name": "question"}], "items": [{"nr": 1, "record": r} for r in RECORDS]}
WRAPPED = [{"topic": None, "qa list": [record]} for record in RECORDS]
CSV = '"Frage, ganz",Antwort.kurz\n' + "".join(f"{q},{a}\n" for q, a in PAIRS)
WRONG = {
    "a page of a viewer": ("page.json", as_lines([PAGE])),
    "a page, compressed": ("page [1] of 2.json.gz", gzip.compress(as_lines([PAGE]))),
    "a page over many lines": ("page.json", json.dumps(PAGE, indent=1).encode()),
    "an array of groups": ("groups.json", json.dumps(WRAPPED).encode()),
    "a group per line": ("it's groups.jsonl", as_lines(WRAPPED)),
    "names with commas": ("umfrage.csv", CSV.encode()),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_the_command_that_a_message_offers_gives_the_records(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    file, content = WRONG[name]
    given = tmp_path / "in" / file
    given.parent.mkdir()
    given.write_bytes(content)
    columns = ["--columns=prompt=Frage, ganz,response=Antwort.kurz"] if file[-3:] == "csv" else []
    trial = Trial(given, tmp_path).score(*columns)
    assert trial.code == 2
    [command] = commands(trial)
    after = follow(command, trial, tmp_path / "after")
    assert (after.code, after.pairs) == (0, set(PAIRS)), after.text


def test_one_line_of_many_that_lists_records_is_no_reason_to_unpack_the_file(
    spark: SparkSession, tmp_path: Path
) -> None:
    given = tmp_path / "mixed.jsonl"
    given.write_bytes(as_lines([RECORDS[0], WRAPPED[1], RECORDS[2]]))
    trial = Trial(given, tmp_path).score()
    assert (trial.code, len(trial.examples), commands(trial)) == (0, 2, [])
    [refused] = trial.quarantined
    assert refused.startswith("unknown_format: no known layout has these fields")


def test_the_field_that_a_message_means_can_be_given(spark: SparkSession, tmp_path: Path) -> None:
    given = tmp_path / "nested.jsonl"
    given.write_bytes(as_lines([{"a,b": {"Q.1": q}, "reply": a} for q, a in PAIRS]))
    trial = Trial(given, tmp_path).score('--columns=prompt="a,b".Q.2,response=reply')
    offered = re.findall(r"did you mean (.+)\?", trial.text)
    assert (trial.code, offered) == (2, ['"a,b"."Q.1"'])
    keep = '--keep="a,b"."Q.1",reply'
    trial.score(f"--columns=prompt={offered[0]},response=reply", keep, "--id=reply")
    assert trial.pairs == set(PAIRS)
    [first, *_] = sorted(trial.rows("occurrences"), key=lambda row: row["position"])
    assert first["kept"] == {'"a,b"."Q.1"': PAIRS[0][0], "reply": PAIRS[0][1]}
    assert first["source_key"] == PAIRS[0][1]


def test_the_command_that_drops_what_was_edited_away_drops_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    given = tmp_path / "it's data.jsonl"
    given.write_bytes(as_lines(list(RECORDS)))
    trial = Trial(given, tmp_path).score()
    given.write_bytes(as_lines(RECORDS[1:]))
    [command] = commands(trial.score())
    follow(command, trial, tmp_path / "after")
    assert (trial.code, len(trial.rows("occurrences"))) == (0, 2), trial.text
    assert commands(trial.score()) == []


@pytest.mark.cases
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_command_on_the_cases_works(spark: SparkSession, tmp_path: Path, case: Case) -> None:
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} is not there; INSTRUCTMINING_CASES names another folder")
    given = tmp_path / "in" / case.name
    if (FOLDER / case.name).is_dir():
        shutil.copytree(FOLDER / case.name, given, symlinks=True)
    else:
        given.parent.mkdir()
        shutil.copyfile(FOLDER / case.name, given)
    trial = Trial(given, tmp_path).score(*case.arguments)
    for number, command in enumerate(commands(trial)):
        after = follow(command, trial, tmp_path / f"after {number}")
        assert after.code == 0, f"{command}: {after.text}"
        assert after.examples, f"{command}: {after.text}"
