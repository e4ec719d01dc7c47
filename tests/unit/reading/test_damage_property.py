"""From the bytes of a file to rows, without Spark: any damage costs only what it touches."""

import bz2
import csv
import gzip
import io
import json

import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from instructmining.layouts.standard_form import QUARANTINE_CHARACTERS, standard_rows
from instructmining.reading.sniffing import BY_SPARK, sniff
from instructmining.reading.splitting import split
from instructmining.settings.sections import Read

# What is no data file, and what other readers than `split` take.
NOT_SPLIT = ("unknown", "parquet", "tar", *BY_SPARK)
UNHURRIED = settings(deadline=None)  # a busy machine is no failure
OPTIONS = Read().model_dump()
COMPRESS = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(str.strip)
RECORDS = st.lists(
    st.fixed_dictionaries({"instruction": TEXT, "output": TEXT}), min_size=1, max_size=6
)
SPOILS = st.binary(max_size=6) | st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\\",
        b"\n",
        b"\r",
        b",",
        b":",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b'{"instruction": "q", "output": 1e999}',
        b"NaN",
        b'"instruction": "twice", ',
        b"\x1f\x8b\x08",
        b"[" * 2000,
    ]
)


def as_csv(records):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(records[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


WRITE = {
    "a.jsonl": lambda records: "".join(json.dumps(each) + "\n" for each in records),
    "b.jsonl": lambda records: "".join(
        json.dumps(each, ensure_ascii=False) + "\n" for each in records
    ),
    "a.json": json.dumps,
    "b.json": lambda records: json.dumps(records, indent=2, ensure_ascii=False),
    "c.json": lambda records: "\n".join(json.dumps(each, indent=1) for each in records),
    "a.csv": as_csv,
}
FILES = st.tuples(*map(st.sampled_from, (list(WRITE), ENCODINGS, list(COMPRESS))))
PLACES = st.integers(0, 1 << 16)


def rows_of(content, name):
    """What a run makes of a file: its rows, or nothing where `split` does not read it."""
    kind = sniff(name, content[: 1 << 16])
    if kind.container in NOT_SPLIT:
        return []
    found = []
    for record in split(io.BytesIO(content), kind):
        given_record = record._asdict() | {"source": name, "records": 1}
        found += standard_rows(given_record, OPTIONS)
    return found


def assert_accounted(rows):
    for row in rows:
        if "reason" in row:
            assert row["reason"]
            assert row["detail"].encode() is not None
            assert len(row["raw"]) <= QUARANTINE_CHARACTERS
        else:
            assert len(row["example_id"]) == 32
            assert row["raw"].encode() is not None
            assert row["response"].strip()
    keys = [(row["position"], row["content_hash"]) for row in rows]
    assert len(set(keys)) == len(keys), "two rows of one key: the second would be lost"


@UNHURRIED
@given(RECORDS, FILES)
def test_the_same_records_have_the_same_ids_in_every_file(records, file) -> None:
    name, encoding, packed = file
    expected = [row["example_id"] for row in rows_of(WRITE["a.jsonl"](records).encode(), "a.jsonl")]
    content = COMPRESS[packed](WRITE[name](records).encode(encoding))
    rows = rows_of(content, name + packed)
    assert_accounted(rows)
    assert [row.get("example_id") for row in rows] == expected
    assert len(expected) == len(records)


@UNHURRIED
@given(RECORDS, FILES, PLACES, st.integers(0, 12), SPOILS)
def test_any_damage_to_any_file_is_rows_or_reasons(records, file, place, lost, spoil) -> None:
    name, encoding, packed = file
    content = COMPRESS[packed](WRITE[name](records).encode(encoding))
    place %= len(content) + 1
    assert_accounted(rows_of(content[:place] + spoil + content[place + lost :], name + packed))


@UNHURRIED
@given(RECORDS, PLACES, st.integers(0, 12), SPOILS)
def test_damage_within_json_lines_costs_no_line_that_it_does_not_touch(
    records, place, lost, spoil
) -> None:
    lines = [WRITE["b.jsonl"]([each]).encode() for each in records]
    content = b"".join(lines)
    place %= len(content)
    starts = [sum(map(len, lines[:i])) for i in range(len(lines))]
    whole = [
        line
        for start, line in zip(starts, lines, strict=True)
        if start + len(line) <= place or start > place + lost
    ]
    content = content[:place] + spoil + content[place + lost :]
    kind = sniff("a.jsonl", content)
    # A mark or signature in front is believed: another encoding, gzip, zip, Parquet, Avro.
    assume((kind.encoding, kind.compression) == ("utf-8", None))
    assume(kind.container not in NOT_SPLIT)
    found = rows_of(content, "a.jsonl")
    assert_accounted(found)
    kept = [row["raw"] for row in found if "reason" not in row]
    assert all(line.decode().strip() in kept for line in whole)
