"""Statements over stored rows, the folder of a report, and retries of writers: no Spark needed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.errors import UserError
from instructmining.settings.stored import Erase, Maintain
from instructmining.store import conflicts
from instructmining.store.conflicts import ATTEMPTS, NoTableError, with_retries
from instructmining.store.definition_sql import sql_text
from jobs.stored.erase import _conditions, _wanted
from jobs.stored.maintain import Kept, text
from jobs.stored.report import target_of

ID = "0123456789abcdef" * 2
ids = st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), unique=True, max_size=30)


@given(st.text())
def test_no_text_ends_its_literal_early(value):
    literal = sql_text(value)
    body = literal[1:-1]
    assert literal[0] == literal[-1] == "'"
    # Read as Spark reads it: a backslash takes the next character as it stands.
    assert re.fullmatch(r"(?:[^'\\]|\\.)*", body, re.DOTALL)
    assert re.sub(r"\\(.)", r"\1", body, flags=re.DOTALL) == value


@given(ids)
def test_every_id_is_in_one_statement_and_none_is_longer_than_spark_parses(wanted):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.stored.erase._IDS_AT_ONCE", 7)
        conditions = list(_conditions("scores", wanted))
    named = [re.findall(r"[0-9a-f]{32}", condition) for condition in conditions]
    assert [identifier for part in named for identifier in part] == wanted
    assert all(1 <= len(part) <= 7 for part in named)
    assert all(condition.startswith("`example_id` IN (") for condition in conditions)


def test_in_subsets_a_spoiled_copy_is_known_by_the_id_in_it():
    [condition] = _conditions("subsets", [ID])
    assert condition == f"arrays_overlap(split(`example_id`, ':'), array('{ID}'))"


def test_ids_come_from_options_and_a_file_each_once(tmp_path):
    file = tmp_path / "ids.txt"
    file.write_text(f"{ID}\n\n{'f' * 32}\n")
    assert _wanted(Erase(ids=(ID,), ids_file=str(file))) == [ID, "f" * 32]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "no example_id is given: name 32 hexadecimal digits"),
        ({"ids": ("xyz",)}, "'xyz' is not an example_id"),
        ({"ids": (ID.upper(),)}, "is not an example_id"),
        ({"ids": (ID + "0",)}, "is not an example_id"),
        ({"ids_file": "/no/such/file"}, "--ids /no/such/file: No such file or directory"),
    ],
)
def test_what_is_not_an_id_is_refused_before_anything_is_read(options, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        _wanted(Erase(**options))


def test_the_page_of_maintain_says_what_changed_and_what_would():
    reports = [
        Kept("scores", (12, 1), (3 * 2**20, 2**20), 11),
        Kept("examples", (1, 1), (2**20, 2**20), None),
    ]
    done = text(reports, 168, dry_run=False)
    assert "files older than 168 h removed" in done
    assert re.search(r"scores +12 → 1 +3.00 → 1.00   11$", done, re.MULTILINE)
    assert re.search(r"examples +1 → 1 +1.00 → 1.00   not told$", done, re.MULTILINE)
    dry = text([Kept("scores", (1, 1), (0, 0), 1000)], 200, dry_run=True)
    assert "files older than 200 h would be removed" in dry
    assert "1,000 or more" in dry
    assert dry.endswith("dry run: nothing was changed")


def test_a_report_goes_to_its_own_place_else_beside_the_files_else_here(tmp_path):
    assert target_of(str(tmp_path / "mine.html"), None) == tmp_path / "mine.html"
    assert target_of(str(tmp_path), "/ignored") == tmp_path / "report.html"
    assert target_of(None, str(tmp_path)) == tmp_path / "report.html"
    assert str(target_of(None, None)) == "report.html"


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        ("s3://bucket/report.html", "name a local file"),
        ("/no/such/folder/report.html", "there is no folder /no/such/folder"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_by_its_option(to, sentence):
    with pytest.raises(UserError, match=f"--to {re.escape(to)}: {sentence}"):
        target_of(to, None)


class ConcurrentAppendException(Exception):
    """Named as Delta names it: conflicts are known by the name of the class."""


@pytest.fixture
def waits(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr(conflicts.time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize("error", [ConcurrentAppendException("x"), NoTableError("not yet")])
@pytest.mark.parametrize("failures", [0, 1, ATTEMPTS - 1])
def test_a_writer_in_the_way_is_waited_for_a_little_longer_each_time(waits, error, failures):
    attempts: list[int] = []

    def write() -> None:
        attempts.append(1)
        if len(attempts) <= failures:
            raise error

    with_retries(write)
    assert len(attempts) == failures + 1
    assert len(waits) == failures
    assert all(0.2 * n <= wait <= 1.0 * n for n, wait in enumerate(waits, start=1))


def test_the_last_attempt_raises_what_it_met(waits):
    attempts: list[int] = []

    def write() -> None:
        attempts.append(1)
        raise ConcurrentAppendException(str(len(attempts)))

    with pytest.raises(ConcurrentAppendException, match=str(ATTEMPTS)):
        with_retries(write)
    assert (len(attempts), len(waits)) == (ATTEMPTS, ATTEMPTS - 1)


def test_any_other_error_is_raised_at_once(waits):
    def write() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        with_retries(write)
    assert waits == []


def test_the_log_reaches_as_far_back_as_what_is_readable():
    assert Maintain(retention_hours=200, log_hours=200).log_hours == 200
    with pytest.raises(ValueError, match="versions stay readable for 200 hours"):
        Maintain(retention_hours=200, log_hours=199)
