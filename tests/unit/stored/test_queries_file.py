"""Queries of a file by their names, with values that cannot break out of their quotes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.errors import UserError
from instructmining.store.queries import read_queries

TEXT = """-- about the file
-- name: first
SELECT * FROM delta.`${store}/scores` WHERE pool = '${pool}';

-- name: second
CREATE VIEW v AS SELECT ';' AS mark;
SELECT * FROM v WHERE rule_name = '${rule}';
"""


def queries(folder: Path, text: str = TEXT, **values: str) -> dict[str, list[str]]:
    file = folder / "q.sql"
    file.write_text(text, encoding="utf-8")
    return read_queries(str(file), **{"store": "/out", "pool": "p", "rule": "r", **values})


def test_a_query_is_its_statements_in_their_order(tmp_path):
    read = queries(tmp_path)
    assert list(read) == ["first", "second"]
    assert read["first"] == ["SELECT * FROM delta.`/out/scores` WHERE pool = 'p'"]
    assert read["second"] == [
        "CREATE VIEW v AS SELECT ';' AS mark",
        "SELECT * FROM v WHERE rule_name = 'r'",
    ]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n;"), max_size=20))
def test_no_value_ends_its_quotes(value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda *_, **__: TEXT)
        read = read_queries("q.sql", store="/out", pool=value, rule="r")
    [statement] = read["first"]
    literal = statement.partition("pool = ")[2]
    body = literal[1:-1].replace("\\\\", "").replace("\\'", "")
    assert literal[0] == literal[-1] == "'"
    assert "'" not in body
    assert not body.endswith("\\")


def test_a_folder_with_a_back_quote_stays_in_its_quotes(tmp_path):
    [statement] = queries(tmp_path, store="/o`ut")["first"]
    assert "delta.`/o``ut/scores`" in statement


def test_a_placeholder_that_is_not_known_and_a_file_that_is_not_there_are_named(tmp_path):
    with pytest.raises(UserError, match=r"q\.sql: no such placeholder: catalog"):
        queries(tmp_path, "-- name: a\nSELECT ${catalog};")
    with pytest.raises(UserError, match=r"absent\.sql: No such file"):
        read_queries(str(tmp_path / "absent.sql"), "s", "p", "r")
