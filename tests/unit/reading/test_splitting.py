"""Bytes to records, without Spark: every record is accounted for, whatever the bytes are."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from instructmining.reading import splitting
from instructmining.reading.json_elements import elements
from instructmining.reading.sniffing import BY_SPARK, Kind, sniff
from instructmining.reading.splitting import RawRecord, split

RECORDS = [
    {"instruction": "Greet.", "input": "", "output": 'Hello, "you"\nthere'},
    {"instruction": "Grüße", "input": "1, 2", "output": "日本語 🌞 \\n ok"},
    {"instruction": "Count.", "input": "", "output": "[3], {4}"},
]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


def read(content: bytes, name: str = "a.jsonl") -> list[RawRecord]:
    return list(split(io.BytesIO(content), sniff(name, content[: 1 << 16]), path=name))


def values(records: list[RawRecord]) -> list[object]:
    assert {record.reason for record in records} <= {None}
    return [json.loads(record.raw) for record in records]


def as_csv(separator: str = ",", end: str = "\n") -> str:
    rows = [list(RECORDS[0]), *(list(record.values()) for record in RECORDS)]
    quoted = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    return end.join(quoted) + end


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", LINES),
        ("a.jsonl", LINES.replace("\n", "\r\n")),
        ("a.jsonl", LINES.replace("\n", "\r")),
        ("a.jsonl", "\n \t\n" + LINES.replace("\n", "\n\n")),
        ("a.json", json.dumps(RECORDS, ensure_ascii=False)),
        ("a.json", json.dumps(RECORDS, indent=4, ensure_ascii=False)),
        ("a.json", "\n".join(json.dumps(r, indent=2, ensure_ascii=False) for r in RECORDS)),
        ("a.json", json.dumps(RECORDS[:1]) + json.dumps(RECORDS[1:])),
        ("a.csv", as_csv()),
        ("a.csv", as_csv(end="\r\n")),
        ("a.csv", as_csv(";")),
        ("a.tsv", as_csv("\t")),
    ],
)
def test_every_container_in_every_encoding_gives_the_same_records(name, text, encoding) -> None:
    assert values(read(text.encode(encoding), name)) == RECORDS


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.parquet", "part-00000", "a.txt"])
@pytest.mark.parametrize("text", [LINES, json.dumps(RECORDS), json.dumps(RECORDS, indent=1)])
def test_the_content_decides_where_the_name_lies(name: str, text: str) -> None:
    assert values(read(text.encode(), name)) == RECORDS
    assert values(read(gzip.compress(text.encode()), name)) == RECORDS


def test_csv_in_a_file_named_json_lines_is_read_as_csv() -> None:
    assert values(read(as_csv().encode(), "a.jsonl")) == RECORDS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.md", b"# notes"),
        ("LICENSE", b"You may"),
        ("a.txt", b"[badge](x) text"),
        ("book.csv", b"PK\x03\x04\x14\x00\x06\x00"),
        ("image.png", b"\x89PNG"),
        ("notes", b""),
        ("a.md", LINES.encode()),
    ],
)
def test_what_is_no_data_file_is_unknown(name: str, content: bytes) -> None:
    assert sniff(name, content).container == "unknown"


def test_a_damaged_first_line_does_not_make_json_lines_csv() -> None:
    for damage in (b"\x00", b"x", b'"'):
        content = damage + LINES.encode()
        assert sniff("a.jsonl", content).container == "lines"
        assert [json.loads(r.raw) for r in read(content)[1:]] == RECORDS[1:]


def test_a_parquet_file_is_known_by_its_first_bytes() -> None:
    assert sniff("a.json", b"PAR1....").container == "parquet"
    assert sniff("a.parquet", b"no parquet").container == "parquet"  # and fails by name


@pytest.mark.parametrize("compression", COMPRESS)
def test_compressed_members_one_after_the_other_are_one_file(compression: str) -> None:
    packed = b"".join(COMPRESS[compression](line.encode()) for line in LINES.splitlines(True))
    assert values(read(packed + b"\0" * 512, "a.jsonl")) == RECORDS


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_compressed_file_that_breaks_off_keeps_what_came_before(compression: str) -> None:
    many = "".join(
        json.dumps({"instruction": f"q{i}", "output": "a" * (i % 97)}) + "\n"
        for i in range(200_000)
    ).encode()
    packed = COMPRESS[compression](many)
    found = read(packed[: len(packed) * 3 // 4])
    *kept, last = found
    assert last.reason == "damaged_file"
    assert "breaks off" in last.detail
    assert last.position == len(found)
    whole = [record.raw for record in kept]
    assert whole[:-1] == many.splitlines()[: len(whole) - 1]
    assert len(whole) > 50_000


def test_half_a_character_and_a_lost_end_are_two_records_of_two_positions() -> None:
    found = read(gzip.compress(LINES.encode("utf-16")[:-1])[:-6], "a.jsonl.gz")
    assert [(r.position, r.reason) for r in found[2:]] == [(3, "not_utf8"), (4, "damaged_file")]


def test_garbage_behind_a_compressed_file_is_one_record_with_a_reason() -> None:
    found = read(gzip.compress(LINES.encode()) + b"garbage")
    assert [record.reason for record in found] == [None, None, None, "damaged_file"]


def test_a_damaged_header_leaves_nothing_but_the_reason() -> None:
    found = read(b"\x1f\x8b" + b"\xff" * 100)
    assert [(record.position, record.reason) for record in found] == [(1, "damaged_file")]


@pytest.mark.parametrize(
    ("bad", "count"),
    [
        ("tru", 1),
        ("{'a': 1}", 1),
        ('{"a": "open}', 1),
        ('{"a": 1', 1),
        ('{"a" 1}', 1),
        ('{"a": {"b": }}', 1),
        ("{]", 1),
    ],
)
@pytest.mark.parametrize("between", [",", ",\n  "])
def test_one_malformed_element_of_an_array_costs_one_record(bad, count, between) -> None:
    good = ['{"a": 1}', '{"a": "]"}', '{"a": [1, {"b": 2}]}']
    text = "[" + between.join([good[0], bad, *good[1:]]) + "]"
    found = list(elements(text))
    assert [each for each in found if each in good] == good
    assert len(found) == 3 + count


def test_a_lost_quote_on_a_first_line_costs_no_other_record() -> None:
    text = LINES.replace('{"', "{\n", 1)  # the file now looks like objects that span lines
    assert sniff("a.jsonl", text.encode()).container == "objects"
    found = read(text.encode())
    assert [json.loads(r.raw) for r in found[1:]] == RECORDS[1:]


def test_two_columns_of_one_name_are_both_kept() -> None:
    assert values(read(b"text,text,\n1,2,3\n", "a.csv")) == [
        {"text": "1", "text (column 2)": "2", "column 3": "3"}
    ]


def test_a_line_without_end_is_one_record_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MAX_RECORD", 1000)
    found = read(b'{"a": 1}\n' + b"x" * 5000 + b'\n{"a": 2}\n')
    assert [record.reason for record in found] == [None, "too_long", None]
    assert [record.position for record in found] == [1, 2, 3]


def test_an_array_that_unpacks_to_too_much_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = gzip.compress(json.dumps(RECORDS).encode())
    monkeypatch.setattr(splitting, "MAX_WHOLE", len(json.dumps(RECORDS)) - 1)
    (found,) = read(packed, "a.json.gz")
    assert (found.position, found.raw, found.reason) == (0, b"", "unreadable_file")
    assert str(found.detail).endswith("`zcat a.json.gz | jq -c '.[]' > a.jsonl`")
    monkeypatch.setattr(splitting, "MAX_WHOLE", len(json.dumps(RECORDS)))
    assert values(read(packed, "a.json.gz")) == RECORDS


def test_ten_megabytes_on_one_line_are_a_record() -> None:
    long = json.dumps({"instruction": "q", "output": "a" * 10_000_000})
    found = read(f'{{"instruction": 1}}\n{long}\n'.encode())
    assert [len(record.raw) for record in found] == [18, len(long)]


def test_half_a_character_at_the_end_of_utf_16_costs_nothing_else() -> None:
    for name, text in (("a.jsonl", LINES), ("a.json", json.dumps(RECORDS))):
        found = read(text.encode("utf-16") + b"\x7b", name)
        assert [json.loads(r.raw) for r in found if r.reason is None] == RECORDS


KINDS = [
    Kind(container, compression, encoding)
    for container in ("lines", "array", "objects", "csv")
    for compression in (None, "gzip", "bz2", "xz", "zstd")
    for encoding in ("utf-8", "utf-16", "utf-32")
]
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"{",
                b"}",
                b"[",
                b"]",
                b",",
                b'"',
                b"\\",
                b"\n",
                b"\r",
                b":",
                b'{"a":1}',
                b'["x"]',
                b"a,b\n",
                b"\xef\xbb\xbf",
                b"\xff\xfe",
                b"\xd8\x00",
                b"\x00",
                b"PAR1",
                b"\x1f\x8b\x08",
            ]
        ),
    ),
    max_size=30,
).map(b"".join)


@given(PIECES, st.sampled_from(KINDS))
def test_no_bytes_make_it_raise_and_positions_only_grow(content: bytes, kind: Kind) -> None:
    found = list(split(io.BytesIO(content), kind))
    positions = [record.position for record in found]
    assert positions == sorted(set(positions))
    assert all(record.detail for record in found if record.reason)


@given(PIECES, st.sampled_from(["a.json", "a.jsonl", "a.csv", "a.parquet", "a"]))
@example(b"\x00\r\x01", "a.json")
@example(b"Obj\x01", "a.json")
def test_no_bytes_make_sniffing_raise(content: bytes, name: str) -> None:
    kind = sniff(name, content)
    if kind.container not in ("unknown", "parquet", "tar", *BY_SPARK):
        list(split(io.BytesIO(content), kind))


@given(PIECES)
def test_no_byte_of_json_lines_is_lost(content: bytes) -> None:
    found = split(io.BytesIO(content), Kind("lines"))
    blank = b" \t\r\n\f\v"
    content = content.removeprefix(b"\xef\xbb\xbf")
    lines = [line for line in content.splitlines() if line.strip(blank)]
    assert [record.raw for record in found] == lines


@given(PIECES, st.sampled_from(["array", "objects"]))
def test_every_character_of_an_array_is_a_separator_or_in_a_record(content, container) -> None:
    found = list(split(io.BytesIO(content), Kind(container)))
    rest = content
    for record in found:
        before, record_found, rest = rest.partition(record.raw)
        assert record_found
        assert not before.decode("utf-8", "replace").strip(" \t\r\n\f\v,\ufeff[]")
    assert not rest.decode("utf-8", "replace").strip(" \t\r\n\f\v,\ufeff[]")


@given(
    st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3)),
    st.sampled_from([None, 1, 4]),
    st.booleans(),
)
def test_the_elements_of_any_array_are_exact_slices(rows, indent, ascii_only) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    found = list(elements(text))
    assert [json.loads(each) for each in found] == rows
    assert all(each in text for each in found)


SKIPPED = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"size"  # a frame for other programs


@pytest.mark.parametrize("pattern", ["sd", "ds", "sdsd", "ssds"])
def test_frames_of_zstd_that_are_to_be_skipped_are(pattern: str) -> None:
    halves = [json.dumps(RECORDS[:2])[:-1] + ",", json.dumps(RECORDS[2:])[1:]]
    parts = iter(halves if pattern.count("d") == 2 else ["".join(halves)])
    packed = b"".join(
        zstandard.compress(next(parts).encode()) if part == "d" else SKIPPED for part in pattern
    )
    assert values(read(packed, "a.json.zst")) == RECORDS
    assert sniff("a.json.zst", packed) == Kind("array", "zstd")


@pytest.mark.parametrize("bits", [27, 31])  # as `zstd --long=27` and `--long=31`
def test_a_long_window_of_zstd_is_read(bits: int) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1, window_log=bits, write_content_size=0
    )
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = stream.compress(LINES.encode()) + stream.flush()
    assert zstandard.get_frame_parameters(packed).window_size == 1 << bits
    assert values(read(packed, "a.jsonl.zst")) == RECORDS


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json", "a.tgz", "a.csv.zst", "a"])
def test_a_tar_archive_is_known_whatever_its_name(form: int, name: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        member = tarfile.TarInfo("é/a.jsonl")
        member.size = len(LINES.encode())
        archive.addfile(member, io.BytesIO(LINES.encode()))
    assert sniff(name, out.getvalue()).container == "tar"
    assert sniff(name, gzip.compress(out.getvalue())) == Kind("tar", "gzip")


def test_what_describes_a_data_set_is_not_a_file_of_records() -> None:
    state = json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}, indent=2)
    info = json.dumps({"features": {"instruction": {"dtype": "string"}}})
    for name, text in (
        ("/d/state.json", state),
        ("state.json", state),
        ("dataset_info.json", info),
        ("dataset_infos.json", json.dumps({"default": json.loads(info)})),
        ("dataset_dict.json", '{"splits": ["train"]}'),
    ):
        assert sniff(name, text.encode()).container == "unknown"
    assert values(read(LINES.encode(), "state.json")) == RECORDS


def page(records, cut=(), **more) -> dict:
    rows = [
        {"row_idx": i, "row": record, "truncated_cells": [*cut]} for i, record in enumerate(records)
    ]
    features = [{"feature_idx": 0, "name": "instruction", "type": {"dtype": "string"}}]
    return {"features": features, "rows": rows, "num_rows_total": 3, "partial": False} | more


@pytest.mark.parametrize("indent", [None, 2])
def test_pages_of_a_data_set_viewer_give_their_rows(indent: int | None) -> None:
    first, second = (json.dumps(page(part), indent=indent) for part in (RECORDS[:2], RECORDS[2:]))
    for text in (f"{first}\n{second}\n", f"[{first}, {second}]", first + second):
        records = read(text.encode(), "rows.json")
        assert values(records) == RECORDS
        assert [record.position for record in records] == [1, 2, 3]
    assert values(read(gzip.compress(json.dumps(page(RECORDS)).encode()), "a.json.gz")) == RECORDS


def test_a_row_that_the_viewer_cut_short_is_named() -> None:
    text = json.dumps(page(RECORDS[:1], cut=["output", "日本"])) + "\n" + json.dumps(page([]))
    (record,) = read(text.encode(), "rows.json")
    assert (record.position, record.reason) == (1, "cut_cells")
    assert "the viewer cut the cells output, 日本 of this row" in str(record.detail)


@given(PIECES, st.integers(0, 300))
def test_a_damaged_page_gives_records_or_reasons(spoil: bytes, place: int) -> None:
    content = json.dumps(page(RECORDS)).encode()
    records = list(split(io.BytesIO(content[:place] + spoil + content[place:]), Kind("pages")))
    assert [record.position for record in records] == list(range(1, len(records) + 1))
