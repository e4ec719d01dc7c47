"""CSV as it is written: both ways of quoting, and malformed rows that cost themselves alone."""

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructmining.layouts.standard_form import standard_rows
from instructmining.reading.sniffing import Kind, sniff
from instructmining.reading.splitting import RawRecord, split
from instructmining.settings.sections import Read

MALFORMED = "malformed_csv"
ABOVE = "a line above the header of the table; remove it"


def read(text: str, escape: str = "auto", name: str = "a.csv") -> list[RawRecord]:
    content = text.encode()
    kind = replace(sniff(name, content[: 1 << 16]), csv_escape=escape)
    return list(split(io.BytesIO(content), kind))


def shown(text: str, escape: str = "auto") -> list[object]:
    """The cells of each row, or the reason."""
    return [
        list(json.loads(record.raw).values()) if record.reason is None else record.reason
        for record in read(text, escape)
    ]


def by_spark(rows: list[list[str]]) -> str:
    """As Spark 4's `DataFrameWriter.csv` writes texts with its defaults.

    A cell with a delimiter, a quote or a line end is quoted; in it, a backslash comes before a
    quote and before a backslash.
    """

    def cell(text: str) -> str:
        if text and not any(sign in text for sign in ',"\n\r'):
            return text
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "".join(",".join(map(cell, row)) + "\n" for row in rows)


def by_the_standard(rows: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


HEADER = ["prompt", "response"]
NASTY = [
    ['He said "go".', "Tür, zu"],
    ['{"a": "b\\nc",\n "日本": ["x", "y"]}', 'C:\\new\\"dir"'],
    ["\\", '"'],
    ['ends with \\"', '"starts" so'],
    ["two\n\nlines, with a comma", "日本\n"],
]


@pytest.mark.parametrize("write", [by_spark, by_the_standard])
def test_quotes_are_read_as_the_file_means_them(write) -> None:
    assert shown(write([HEADER, *NASTY])) == NASTY
    # The first quote inside a cell may come late.
    plain = [[f"question {i}", "answer"] for i in range(5000)]
    assert shown(write([HEADER, *plain, *NASTY])) == [*plain, *NASTY]


# Written by univocity 2.9.1 with the settings of Spark 4.2's `DataFrameWriter.csv`.
UNIVOCITY = r"""a\,end
\\,end
"\"",end
"\\\"",end
"x,y\\",end
"x,\\y",end
"C:\\new\\\"q\"",end
"\\n,\"",end
"p
q\\",end
"\\\",",end
",\\\\",end
C:\dir,end
"",end
"""
TEXTS = [
    "a\\",
    "\\\\",
    '"',
    '\\"',
    "x,y\\",
    "x,\\y",
    'C:\\new\\"q"',
    '\\n,"',
    "p\nq\\",
    '\\",',
    ",\\\\",
    "C:\\dir",
    "",
]


def test_what_spark_wrote_is_read() -> None:
    for escape in ("auto", "backslash"):
        assert shown("prompt,response\n" + UNIVOCITY, escape) == [[text, "end"] for text in TEXTS]


TEXT = st.text(st.sampled_from('ab"\\,\n é日'), max_size=8)
ROWS = st.lists(st.tuples(TEXT, TEXT).map(list), min_size=1, max_size=6)


def some(rows: list[list[str]]) -> list[list[str]]:
    return [row for row in rows if any(row)]  # a row without a text is a blank line


@settings(deadline=None)
@given(ROWS)
def test_either_way_of_quoting_gives_back_what_was_written_if_it_is_named(rows) -> None:
    assert shown(by_the_standard([HEADER, *rows]), "doubled") == some(rows)
    assert shown(by_spark([HEADER, *rows]), "backslash") == some(rows)


@settings(deadline=None)
@given(ROWS)
def test_the_way_of_quoting_is_decided_by_the_file(rows) -> None:
    sound = [["q", 'a "quoted, word" in it'], *([["q", "a"]] * 3)]
    assert shown(by_the_standard([HEADER, *sound, *rows, *sound])) == [*sound, *some(rows), *sound]
    assert shown(by_spark([HEADER, *sound, *rows, *sound])) == [*sound, *some(rows), *sound]


GOOD = [["Frage eins?", "Antwort, eins"], ["質問?", "答え"], ["q", "a\nb"], ["r", "s"]]
UNREADABLE = {
    "text after a quote": '"c" d,e\n',
    "quotes that were not doubled": '"She said "go, now" and left.\nThe door, shut","x"\n',
    "quotes over many lines": '"he said "go and\nleft, quickly\nthen came back",answer\n',
    "JSON with bare quotes": 'Give.,"{"fruit": "cherry",\n "colour": "red", "sour": 1}"\n',
    "backslashes where the others are doubled": '"a \\"b\\" c\nd, e",f\n',
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_row_that_cannot_be_read_is_one_row_and_no_piece_is_an_example(kind) -> None:
    before = by_the_standard([HEADER, *GOOD])
    after = by_the_standard(GOOD)
    records = read(before + UNREADABLE[kind] + after, "doubled")
    assert [record.reason for record in records] == [None] * 4 + [MALFORMED] + [None] * 4
    assert records[4].raw.decode() == UNREADABLE[kind]
    assert [record.position for record in records] == list(range(1, 10))
    twice = read(before + UNREADABLE[kind] + after + UNREADABLE[kind] + after, "doubled")
    assert [record.reason for record in twice].count(MALFORMED) == 2
    assert len(twice) == 14


def test_a_file_that_breaks_off_in_a_cell_ends_with_one_row() -> None:
    text = by_the_standard([HEADER, *GOOD]) + 'last,"line one\nline two, with a comma\nand three\n'
    assert shown(text) == [*GOOD, MALFORMED]


def test_a_stray_quote_costs_its_line_where_whole_rows_follow() -> None:
    rows = [[f"q{i}", f"a{i}"] for i in range(50)]
    for rest in (rows, [*rows, ['with "quotes"', "日本"], *rows]):
        text = by_the_standard([HEADER, *GOOD]) + 'f,"open\n' + by_the_standard(rest)
        assert shown(text) == [*GOOD, MALFORMED, *rest]


STRAY = {
    "a quote that is never closed": 'f,"open\n',
    "over several lines": 'f,"open\nand more\nand the rest\n',
    "quotes inside quotes": 'f,"he said "go, now" then"\n',
    "an inch": 'f,"a 5" pipe, long"\n',
    "text after a cell": 'f,"x" y\n',
    "three quotes": 'f,"""x\n',
}
AROUND = {
    "no quotes": lambda i: [f"Frage {i}", f"答え {i}"],
    "quotes in each row": lambda i: [f"Frage, {i}", f'Antwort "{i}",\nzweite Zeile'],
    "quotes in some": lambda i: [f"Frage {i}", "Antwort" if i % 3 else f"Ja, {i}\nund nein"],
}


@pytest.mark.parametrize("bad", STRAY)
@pytest.mark.parametrize("kind", AROUND)
def test_in_the_middle_of_a_thousand_rows_malformed_ones_are_counted_and_cost_no_other(
    kind, bad
) -> None:
    rows = [AROUND[kind](i) for i in range(1000)]
    for times in (1, 2, 5):
        text = by_the_standard([HEADER, *rows[:500]]) + times * STRAY[bad]
        found = shown(text + by_the_standard(rows[500:]))
        assert found == [*rows[:500], *[MALFORMED] * times, *rows[500:]]


def test_a_row_with_too_many_cells_is_one_row_and_missing_cells_are_null() -> None:
    assert shown("prompt,response\na,b\ni,j,k\nl,m\no\n") == [
        ["a", "b"],
        MALFORMED,
        ["l", "m"],
        ["o", None],
    ]
    (record,) = (record for record in read("prompt,response\ni,j,k\n"))
    assert record.detail == "3 cells, but the header names 2 columns"


@pytest.mark.parametrize("separator", [";", ",", "\t", "|", ":"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_that_names_the_separator_is_taken_at_its_word(separator, mark) -> None:
    text = f"{mark}sep={separator}\r\nprompt{separator}response\r\nq; or,{separator}a\r\n"
    if separator in ";,":
        text = text.replace("q; or,", "q")
    ((prompt, response),) = shown(text)
    assert (prompt.startswith("q"), response) == (True, "a")


@pytest.mark.parametrize("title", ["Export of 2026\n\n", "Umfrage;;\n日本\n", '"My, title"\n'])
def test_title_lines_are_named_and_the_table_is_read(title) -> None:
    records = read(title + "prompt;response\nq;a\n")
    lines = [line for line in title.splitlines() if line]
    *named, row = records
    assert [record.raw.decode().strip() for record in named] == lines
    assert {record.detail for record in named} == {
        "a line above the header of the table; remove it"
    }
    assert json.loads(row.raw) == {"prompt": "q", "response": "a"}


def test_signs_inside_quoted_names_do_not_separate_columns() -> None:
    assert shown('"Question, full";"Answer, short";id\nq;a;1\n') == [["q", "a", "1"]]


PIECES = st.lists(
    st.sampled_from(['"', '""', '\\"', "\\", ",", "\n", "q", "a,b\n", '"x\ny",z\n', '"x" y,z\n']),
    max_size=40,
).map("".join)


@settings(deadline=None)
@given(PIECES, st.sampled_from(["auto", "doubled", "backslash"]))
def test_every_character_of_a_file_is_in_a_row(text, escape) -> None:
    """What is not a quote, a delimiter, a backslash or a line end is found again, in its order."""
    records = split(io.BytesIO(f"prompt,response\n{text}".encode()), Kind("csv", csv_escape=escape))
    found = "".join(
        record.raw.decode()
        if record.reason
        else "".join(cell or "" for cell in json.loads(record.raw).values())
        for record in records
    )
    letters = [sign for sign in text if sign.isalpha()]
    assert [sign for sign in found if sign.isalpha()] == letters


@settings(deadline=None)
@given(st.sampled_from(list(UNREADABLE.values())), st.integers(0, 8), st.integers(0, 8))
def test_no_piece_of_an_unreadable_row_becomes_an_example(bad, before, after) -> None:
    rows = [[f"q{i}", f"a{i}"] for i in range(before)]
    behind = [[f"r{i}", "b\nc"] for i in range(after)]
    text = by_the_standard([HEADER, *rows]) + bad + by_the_standard(behind)
    examples = [
        row
        for record in read(text, "doubled")
        for row in standard_rows(
            record._asdict() | {"source": "a", "records": 1}, Read().model_dump()
        )
        if "reason" not in row
    ]
    assert [[row["prompt"], row["response"]] for row in examples] == [*rows, *behind]
