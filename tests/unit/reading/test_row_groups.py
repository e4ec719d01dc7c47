"""A damaged Parquet file keeps the row groups that can be read, and says which cannot."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructmining.reading.row_groups import rows_of_groups

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
    return list(rows_of_groups(io.BytesIO(content)))


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
