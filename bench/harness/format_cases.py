"""The cases of `bench.formats`: every layout, container and kind of damage, each as a small input.

A case writes its files below a folder and says what `score` is told and with which code it ends.
"""

import bz2
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from deltalake import write_deltalake
from pyspark.sql import SparkSession

TOPICS = ("rivers", "bread", "planets", "taxes", "violins")
PAIRS = [
    (f"Say something about {topic}.", f"There is much to say about {topic}: «né» 日本 🌞.")
    for topic in TOPICS
]
ALPACA = [{"instruction": q, "input": "", "output": a} for q, a in PAIRS]
CHAT = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in PAIRS]


@dataclass(frozen=True)
class Case:
    """One input and what must come of it."""

    name: str
    write: Callable[[Path], None]
    arguments: tuple[str, ...] = ()
    code: int | None = 0  # None: as it comes
    examples: int | None = len(PAIRS)  # None: as it comes
    alone: bool = False  # whether it changes how other inputs of the same command are read


def lines(records: list[Any], **options: Any) -> bytes:
    """JSON lines."""
    options = {"ensure_ascii": False, **options}
    return "".join(json.dumps(record, **options) + "\n" for record in records).encode(
        "utf-8", "surrogatepass"
    )


def file(name: str, content: bytes) -> Callable[[Path], None]:
    """Writes one file."""
    return files({name: content})


def files(contents: dict[str, bytes]) -> Callable[[Path], None]:
    """Writes several files."""

    def write(folder: Path) -> None:
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    return write


def parquet(tables: dict[str, list[dict[str, Any]]]) -> Callable[[Path], None]:
    """Writes Parquet files."""

    def write(folder: Path) -> None:
        for name, rows in tables.items():
            pq.write_table(pa.Table.from_pylist(rows), folder / name)

    return write


def delta(rows: list[dict[str, Any]], name: str | None = None) -> Callable[[Path], None]:
    """Writes a Delta table, and more rows into it; with a name it is in the session's catalog."""

    def write(folder: Path) -> None:
        place = folder / "table" if name is None else folder.parent / name
        for part in (rows[:2], rows[2:]):
            write_deltalake(str(place), pa.Table.from_pylist(part), mode="append")
        if name:
            session = SparkSession.getActiveSession()
            assert session is not None  # noqa: S101 - the bench and the tests hold one
            session.sql(f"DROP TABLE IF EXISTS {name}")
            session.sql(f"CREATE TABLE {name} USING delta LOCATION '{place}'")
            (folder / "a.jsonl").write_bytes(lines(rows[:1]))

    return write


def damaged(name: str, content: bytes, place: float) -> Callable[[Path], None]:
    """Writes a file in which 20 bytes are something else."""
    at = int(len(content) * place)
    return file(name, content[:at] + b"\xee" * 20 + content[at + 20 :])


def parquet_bytes(rows: list[dict[str, Any]]) -> bytes:
    """A Parquet file with a row group per record."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=1, compression="zstd")
    return bytes(sink.getvalue())


def quoted_csv(separator: str = ",", end: str = "\n") -> bytes:
    """A CSV file whose cells span lines."""
    rows = [("instruction", "output"), *((q + "\nin two lines", a) for q, a in PAIRS)]
    cells = (separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    return (end.join(cells) + end).encode()


def tree(depth: int) -> dict[str, Any]:
    """A chain of OASST messages."""
    node: dict[str, Any] = {}
    for level in reversed(range(depth)):
        role = "assistant" if level % 2 else "prompter"
        node = {
            "message_id": str(level),
            "role": role,
            "text": f"text {level}",
            "replies": [node] if node else [],
        }
    return {"message_tree_id": "0", "prompt": node}


LAYOUTS: dict[str, list[Any]] = {
    "alpaca": ALPACA,
    "dolly": [{"instruction": q, "context": "", "response": a, "category": "x"} for q, a in PAIRS],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}
        for q, a in PAIRS
    ],
    "messages": [{"messages": turns} for turns in CHAT],
    "prompt and completion": [{"prompt": q, "completion": a} for q, a in PAIRS],
    "question and answer": [{"Question": q, "Answer": a} for q, a in PAIRS],
    "self-instruct, nested": [
        {"instruction": q, "instances": [{"input": "", "output": a}]} for q, a in PAIRS
    ],
}
TREE = {
    "message_tree_id": "t",
    "prompt": {
        "message_id": "1",
        "role": "prompter",
        "text": "Hello?",
        "replies": [
            {"message_id": "2", "role": "assistant", "text": "Hi.", "rank": 1},
            {
                "message_id": "3",
                "role": "assistant",
                "text": "Hello!",
                "rank": 0,
                "replies": [
                    {"message_id": "4", "role": "prompter", "text": "More?", "replies": []}
                ],
            },
        ],
    },
}
PREFERENCE = [{"prompt": q, "chosen": a, "rejected": a[:20]} for q, a in PAIRS]
HH = [
    {"chosen": f"\n\nHuman: {q}\n\nAssistant: {a}", "rejected": f"\n\nHuman: {q}\n\nAssistant: No."}
    for q, a in PAIRS
]
QUESTIONS = lines([{"question_id": i, "turns": [q, "Go on."]} for i, (q, _) in enumerate(PAIRS)])
ANSWERS = lines(
    [
        {"question_id": i, "model_id": "m", "choices": [{"index": 0, "turns": [a, a]}]}
        for i, (_, a) in enumerate(PAIRS)
    ]
)
VENDOR = [
    {
        "dialogue": {
            "turns": [{"speaker": "USER", "utterance": q}, {"speaker": "SYSTEM", "utterance": a}]
        }
    }
    for q, a in PAIRS
]
VENDOR_COLUMNS = (
    "--columns=turns=dialogue.turns,role=speaker,content=utterance,user=USER,assistant=SYSTEM",
)
TRANSCRIPT = [{"talk": f"User 1: {q}\nUser 2: {a}"} for q, a in PAIRS]

GOOD = [
    *(Case(f"layout: {name}", file("a.jsonl", lines(rows))) for name, rows in LAYOUTS.items()),
    Case("layout: OASST tree", file("a.jsonl", lines([TREE])), examples=2),
    Case(
        "layout: OASST tree, best path",
        file("a.jsonl", lines([TREE])),
        ("--best-path",),
        examples=1,
    ),
    Case("layout: chosen and rejected", file("a.jsonl", lines(PREFERENCE)), examples=10),
    Case("layout: HH transcripts", file("a.jsonl", lines(HH)), examples=10),
    Case(
        "layout: MT-Bench, two files",
        files({"q.jsonl": QUESTIONS, "a.jsonl": ANSWERS}),
        alone=True,
    ),
    Case("layout: vendor's dialogues", file("a.jsonl", lines(VENDOR)), VENDOR_COLUMNS),
    Case(
        "layout: transcript in a cell",
        file("a.jsonl", lines(TRANSCRIPT)),
        ("--columns=transcript=talk,user=User 1,assistant=User 2",),
    ),
    Case("container: JSON array", file("a.json", json.dumps(ALPACA).encode())),
    Case("container: pretty JSON array", file("a.json", json.dumps(ALPACA, indent=4).encode())),
    Case("container: pretty JSON objects", file("a.json", lines(ALPACA, indent=2))),
    Case("container: CSV, multi-line cells", file("a.csv", quoted_csv())),
    Case("container: CSV, semicolons, CRLF", file("a.csv", quoted_csv(";", "\r\n"))),
    Case("container: TSV", file("a.tsv", quoted_csv("\t"))),
    Case("container: gzip", file("a.jsonl.gz", gzip.compress(lines(ALPACA)))),
    Case(
        "container: gzip, many members",
        file("a.jsonl.gz", b"".join(gzip.compress(lines([record])) for record in ALPACA)),
    ),
    Case("container: bz2", file("a.jsonl.bz2", bz2.compress(lines(ALPACA)))),
    Case("container: zst", file("a.jsonl.zst", zstandard.compress(lines(ALPACA)))),
    Case("container: UTF-8 with mark", file("a.jsonl", b"\xef\xbb\xbf" + lines(ALPACA))),
    Case("container: UTF-16", file("a.jsonl", lines(ALPACA).decode().encode("utf-16"))),
    Case("container: UTF-16, CSV", file("a.csv", quoted_csv().decode().encode("utf-16"))),
    Case("container: CRLF", file("a.jsonl", lines(ALPACA).replace(b"\n", b"\r\n"))),
    Case("container: CR", file("a.jsonl", lines(ALPACA).replace(b"\n", b"\r"))),
    Case("container: Parquet", parquet({"a.parquet": ALPACA})),
    Case("container: Delta, by path", delta(ALPACA)),
    Case(
        "container: Delta, by name, and a file",
        delta(ALPACA, "bench_rows"),
        ("--input=table:bench_rows",),
    ),
    Case(
        "folder: formats mixed",
        files(
            {
                "a.jsonl": lines(ALPACA[:2]),
                "b.json": json.dumps(LAYOUTS["messages"][2:3]).encode(),
                "c.csv": b"question,answer\n" + f"{PAIRS[3][0]},{PAIRS[3][1]}\n".encode(),
                "d.jsonl.gz": gzip.compress(lines(LAYOUTS["sharegpt"][4:])),
                "README.md": b"# notes",
            }
        ),
    ),
    Case(
        "folder: partitions, hidden, _temporary",
        files(
            {
                "language=en/a.jsonl": lines(ALPACA[:3]),
                "language=de/b.jsonl": lines(ALPACA[3:]),
                ".hidden.jsonl": b"{",
                "_temporary/0/c.jsonl": b"{",
                "_SUCCESS": b"",
            }
        ),
        ("--keep=language",),
    ),
]
BAD_LINES = {
    "malformed lines": b'{broken\n{"instruction": "q"\nnull\n',
    "missing fields": lines([{"instruction": "q"}, {"output": "a"}, {"text": "t"}]),
    "empty and blank responses": lines(
        [{"instruction": "q", "output": ""}, {"instruction": "q", "output": " \n\t"}]
    ),
    "wrong types": lines(
        [
            {"instruction": "q", "output": {"a": 5}},
            {"instruction": [["q"]], "output": "a"},
            {"messages": "text"},
            [1, 2],
            "text",
        ]
    ),
    "NaN and huge numbers": b'{"instruction": NaN, "output": "a"}\n{"instruction": "q", "output": '
    + b"9" * 10_000
    + b"}\n",
    "bytes that are not UTF-8": b'{"instruction": "q", "output": "\xff\xfe"}\n',
    "lone surrogates": b'{"instruction": "q", "output": "\\ud800"}\n',
    "nested 100,000 deep": b"[" * 100_000 + b"\n",
    "duplicate keys": b'{"instruction": "q", "output": "a", "output": "b"}\n',
}
CONTROL = (
    b'{"instruction": "tab\there", "output": "bell\x07 and \\u0000 and raw \x00 too"}\n'
    b'{"instruction": "q", "score": NaN, "n": ' + b"9" * 10_000 + b', "output": "a"}\n'
)
LONG = lines([{"instruction": "q", "output": "a long story " * 800_000}])
TORN = lines([{"instruction": f"q{i}", "output": f"a{i * 7919 % 1000}"} for i in range(50_000)])
BAD = [
    *(
        Case(f"bad: {name}", file("a.jsonl", lines(ALPACA) + content))
        for name, content in BAD_LINES.items()
    ),
    Case(
        "odd: control characters, NUL, numbers",
        file("a.jsonl", lines(ALPACA) + CONTROL),
        examples=7,
    ),
    Case("odd: 10 MB on one line", file("a.jsonl", lines(ALPACA) + LONG), examples=6),
    Case("odd: a tree 400 deep", file("a.jsonl", lines([tree(400)])), examples=1),
    Case(
        "odd: the same key twice, equal",
        file(
            "a.jsonl", lines(ALPACA[1:]) + b'{"instruction": "q", "output": "a", "output": "a"}\n'
        ),
    ),
    Case(
        "odd: all twice",
        files(
            {"a.jsonl": lines(ALPACA), "b.csv": quoted_csv(), "c.json": json.dumps(ALPACA).encode()}
        ),
        examples=10,
    ),
    Case(
        "bad: element of an array",
        file(
            "a.json",
            json.dumps(ALPACA).encode()[:-1]
            + b', {"instruction": "q" "output": "a"}, {"instruction": "q", "output": "a"}]',
        ),
        examples=6,
    ),
    Case(
        "bad: array that breaks off",
        file("a.json", json.dumps(ALPACA, indent=1).encode()[:-60]),
        examples=4,
    ),
    Case("bad: rows of CSV", file("a.csv", quoted_csv() + b'"x" y,z\na,b,c\nlast,"open\n')),
    Case(
        "bad: gzip that breaks off", file("a.jsonl.gz", gzip.compress(TORN)[:-9000]), examples=None
    ),
    Case("bad: a page of Parquet", damaged("a.parquet", parquet_bytes(ALPACA), 0.3), examples=4),
    Case(
        "bad: schema drift in Parquet",
        parquet(
            {
                "a.parquet": [{**ALPACA[0], "score": 1}],
                "b.parquet": [{**ALPACA[1], "score": "high"}],
                "c.parquet": [{"prompt": q, "completion": a} for q, a in PAIRS[2:]],
            }
        ),
    ),
    Case("named: gzip called .json", file("a.json", gzip.compress(lines(ALPACA)))),
    Case("named: CSV called .jsonl", file("a.jsonl", quoted_csv())),
    Case("named: JSON lines called .csv", file("a.csv", lines(ALPACA))),
    Case("named: Parquet called .json", parquet({"a.json": ALPACA})),
    Case("named: part-00000", file("part-00000", lines(ALPACA))),
    Case(
        "named: with globs, blanks, Unicode",
        files({"a[1]*.jsonl": lines(ALPACA[:2]), "two words {é}.jsonl": lines(ALPACA[2:])}),
    ),
    Case(
        "odd: wrong checksum file",
        files({"a.jsonl": lines(ALPACA), ".a.jsonl.crc": b"crc\0\0\0\x02\0abcd"}),
    ),
]
HALF = {
    "good.jsonl": lines(ALPACA),
    "bad.jsonl": b"\x89PNG\r\n\x1a\n not JSON\nat all\n",
    "bad.parquet": b"PAR1 no footer",
    "bad.jsonl.gz": b"\x1f\x8b\xff\xff",
    "cut.json": b'[{"instruc',
}
REFUSED = [
    Case("file: none of its records decodes", files(HALF), code=2),
    Case("file: the same, --skip-bad-files", files(HALF), ("--skip-bad-files",)),
    Case("input: empty file", file("a.jsonl", b""), code=2),
    Case("input: blank lines only", file("a.jsonl", b"\n \n\n"), code=2),
    Case("input: empty folder", lambda folder: None, code=2),
    Case("input: nothing usable", file("a.jsonl", lines([{"a": 1}])), code=2),
    Case("input: no known kind", file("a.png", b"\x89PNG"), code=2),
    Case(
        "option: a column that is not there",
        file("a.jsonl", lines(ALPACA)),
        ("--columns=prompt=instrution,response=output",),
        code=2,
    ),
    Case(
        "option: a layout that does not exist",
        file("a.jsonl", lines(ALPACA)),
        ("--format=alpacca",),
        code=2,
    ),
    Case(
        "option: output that cannot be written",
        file("a.jsonl", lines(ALPACA)),
        ("--store=/dev/null/out",),
        code=2,
    ),
    Case(
        "option: setting that does not exist",
        file("a.jsonl", lines(ALPACA)),
        ("--set=measure.dtyp=float32",),
        code=2,
    ),
]
CASES = [*GOOD, *BAD, *REFUSED]
