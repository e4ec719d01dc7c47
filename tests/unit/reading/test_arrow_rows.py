"""Rows of Parquet and Arrow files: every type is read or named, and damage costs a row group."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructmining.layouts.standard_form import standard_rows
from instructmining.reading.arrow_rows import Part
from instructmining.reading.sniffing import Kind, sniff
from instructmining.reading.splitting import split
from instructmining.settings.sections import Read

ROWS = [{"instruction": f"Frage {i}?", "output": f"«né» 日本 {i}", "score": None} for i in range(6)]


def parquet(rows=ROWS, size=2):
    sink = io.BytesIO()
    table = pa.Table.from_pylist(
        rows,
        pa.schema([("instruction", pa.string()), ("output", pa.string()), ("score", pa.float64())]),
    )
    pq.write_table(table, sink, row_group_size=size, compression="zstd")
    return sink.getvalue()


def read(content):
    return list(split(io.BytesIO(content), Kind("parquet")))


@pytest.fixture(scope="module")
def whole():
    return parquet()


def test_a_sound_file_gives_its_rows_in_order_with_their_columns(whole) -> None:
    found = read(whole)
    assert [record.position for record in found] == [1, 2, 3, 4, 5, 6]
    assert [json.loads(record.raw) for record in found] == ROWS
    assert {record.reason for record in found} == {None}


def test_a_damaged_group_costs_its_rows_and_says_which(whole) -> None:
    group = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(1).column(1)
    place = group.dictionary_page_offset or group.data_page_offset
    content = whole[:place] + b"\xee" * 8 + whole[place + 8 :]
    found = read(content)
    assert [json.loads(r.raw) for r in found if r.reason is None] == [*ROWS[:2], *ROWS[4:]]
    assert [r.position for r in found] == [1, 2, 3, 5, 6]
    (lost,) = [r for r in found if r.reason]
    assert lost.reason == "damaged_file"
    assert lost.detail.startswith("row group 2 of 3, 2 rows, cannot be read")


@pytest.mark.parametrize("content", [b"PAR1 no footer", b"", parquet()[:-9]])
def test_a_file_without_its_footer_is_one_record_with_a_reason(content) -> None:
    (found,) = read(content)
    assert (found.position, found.reason) == (0, "unreadable_file")
    assert found.detail


@settings(deadline=None)
@given(st.integers(4, 1 << 12), st.binary(min_size=1, max_size=12))
def test_any_damage_gives_rows_or_reasons_and_positions_grow(place, spoil) -> None:
    content = parquet()
    place %= len(content)
    found = read(content[:place] + spoil + content[place + len(spoil) :])
    positions = [record.position for record in found]
    assert positions == sorted(set(positions))
    assert all(record.detail for record in found if record.reason)


def test_the_parts_of_a_file_are_its_rows_once_with_their_numbers() -> None:
    content = parquet()
    for parts in (1, 2, 3, 5):
        records = [
            record
            for number in range(parts)
            for record in split(io.BytesIO(content), Kind("parquet"), Part(number, parts))
        ]
        by_position = sorted((record.position, json.loads(record.raw)) for record in records)
        assert by_position == list(enumerate(ROWS, start=1))


NEVER = 1 << 62  # microseconds: a year that no calendar has
UNREAD = {
    "times in nanoseconds": pa.array([1, None, 1_700_000_000_000_000_001], pa.timestamp("ns")),
    "times beyond all years": pa.array([NEVER, 0, None], pa.timestamp("us", "UTC")),
    "times of day": pa.array([1, 2, None], pa.time64("ns")),
    "days": pa.array([1, 2, None], pa.date32()),
    "durations": pa.array([1, None, 3], pa.duration("ns")),
    "halves": pa.array([0.5, None, float("nan")], pa.float16()),
    "decimals": pa.array([1, None, 3], pa.decimal128(20, 3)),
    "fixed bytes": pa.array([b"\xff\xfe", None, b"ab"], pa.binary(2)),
    "pictures": pa.array(
        [{"bytes": b"\x89PNG\xff", "path": None}, None, {"bytes": b"", "path": ""}]
    ),
    "maps": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int8())),
    "categories": pa.array(["x", None, "x"]).dictionary_encode(),
    "lists": pa.array([[1.5, float("nan")], None, []]),
    "nothing": pa.nulls(3),
}
if hasattr(pa, "uuid"):
    UNREAD["uuids"] = pa.array([b"\x00\xff" * 8, None, b"a" * 16], pa.uuid())


def example_rows(records) -> list[dict]:
    options = Read().model_dump()
    return [
        row
        for record in records
        for row in standard_rows(record._asdict() | {"source": "a", "records": 1}, options)
    ]


def arrow_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return bytes(sink.getvalue())


def arrow_file(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("write", [arrow_stream, arrow_file, None])
def test_a_column_that_no_layout_reads_costs_nothing(name, write) -> None:
    asked = ["Name a red fruit.", "Frage?", "日本?"]
    table = pa.table({"instruction": asked, "extra": UNREAD[name], "output": ["A", "b", "う"]})
    if write is None:
        sink = pa.BufferOutputStream()
        try:
            pq.write_table(table, sink)
        except pa.ArrowException:
            pytest.skip(f"this pyarrow writes no Parquet with {name}")
        content = bytes(sink.getvalue())
    else:
        content = write(table)
    kind = sniff("data", content)
    assert kind.container == ("parquet" if write is None else "arrow")
    rows = example_rows(split(io.BytesIO(content), kind))
    assert [(row["position"], row["prompt"], row["response"]) for row in rows] == [
        (1, "Name a red fruit.", "A"),
        (2, "Frage?", "b"),
        (3, "日本?", "う"),
    ]
    for row in rows:
        json.loads(row["raw"], parse_constant=pytest.fail)  # JSON has no NaN


def table_rows(table: pa.Table) -> list[dict]:
    return example_rows(split(io.BytesIO(arrow_stream(table)), Kind("arrow")))


def test_bytes_are_text_where_they_are_utf_8_and_else_refused_by_name() -> None:
    said = pa.array([b"A cherry.", "う".encode(), b"\xff\xfe\x00"], pa.binary())
    rows = table_rows(pa.table({"instruction": [b"q", b"r", b"s"], "output": said}))
    assert [row.get("response") for row in rows] == ["A cherry.", "う", None]
    assert (rows[2]["reason"], rows[2]["detail"]) == (
        "wrong_type",
        "turn 2 is not text: 3 bytes that are not UTF-8",
    )


def test_nan_is_a_value_that_is_not_there() -> None:
    nothing = pa.array([float("nan"), None])
    columns = {"instruction": ["q", "r"], "input": nothing, "output": ["a", "b"]}
    assert [row["prompt"] for row in table_rows(pa.table(columns))] == ["q", "r"]
    for word in ("NaN", "Infinity", "-Infinity"):
        line = f'{{"instruction": "q", "input": {word}, "output": "a"}}'.encode()
        (row,) = example_rows(split(io.BytesIO(line), Kind("lines")))
        assert row["prompt"] == "q"


def test_numbers_and_booleans_come_through_as_they_are() -> None:
    table = pa.table({"question": ["q", "r"], "answer": [42, 7], "sure": [True, None]})
    records = split(io.BytesIO(arrow_stream(table)), Kind("arrow"))
    assert [json.loads(record.raw) for record in records] == [
        {"question": "q", "answer": 42, "sure": True},
        {"question": "r", "answer": 7, "sure": None},
    ]


def test_two_columns_of_one_name_are_both_there() -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    (record,) = split(io.BytesIO(arrow_stream(table)), Kind("arrow"))
    assert json.loads(record.raw) == {"text": "a", "text (column 2)": "b"}


def test_an_arrow_file_that_breaks_off_keeps_what_came_before() -> None:
    table = pa.table({"prompt": [f"q{i}" for i in range(6)], "response": ["a"] * 6})
    content = arrow_stream(table)
    *kept, last = split(io.BytesIO(content[: len(content) * 3 // 4]), Kind("arrow"))
    assert [record.position for record in kept] == list(range(1, len(kept) + 1))
    assert 2 <= len(kept) < 6
    assert (last.position, last.reason) == (len(kept) + 1, "damaged_file")


@settings(deadline=None)
@given(st.integers(0, 1 << 12), st.binary(min_size=1, max_size=12))
def test_any_damage_to_an_arrow_file_gives_rows_or_reasons(place, spoil) -> None:
    content = arrow_file(pa.Table.from_pylist(ROWS))
    place %= len(content)
    content = content[:place] + spoil + content[place + len(spoil) :]
    records = list(split(io.BytesIO(content), Kind("arrow")))
    assert [record.position for record in records] == list(range(1, len(records) + 1))
    assert all(record.detail for record in records if record.reason)
