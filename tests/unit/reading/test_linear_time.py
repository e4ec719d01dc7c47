"""Reading takes time in proportion to the size, whatever is malformed and however much of it."""

import gzip
import io
import json
import time
from collections.abc import Callable

import pytest

from instructmining.reading import json_elements
from instructmining.reading.json_elements import elements
from instructmining.reading.sniffing import Kind
from instructmining.reading.splitting import split

TURNS = '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant" "content": "a"}]}'
NESTED_LINES = '  {\n    "a": {\n      "b" 1\n    }\n  }'
# n malformed records each, in a JSON array.
ARRAYS: dict[str, Callable[[int], str]] = {
    "a text that was cut": lambda n: ",".join(['{"instruction": "q", "output": "some'] * n),
    "a bracket that is not closed": lambda n: '{"a": ["x", ' * n,
    "nested objects that are not closed": lambda n: '{"a": {"b": "x"' * n,
    "a list that takes in what follows": lambda n: ('{"a": [' + '{"b": 1},' * 20) * n,
    "the same, a record per line": lambda n: ('{"a": [\n' + '{"a": 1},\n' * 20) * n,
    "a comma that is missing": lambda n: ", ".join([TURNS] * n),
    "records over many lines": lambda n: "\n" + ",\n".join([NESTED_LINES] * n),
    "every record begins in another way": lambda n: ",".join(
        f'{{"k{i}": 1}}, {{"x{i}" 2}}' for i in range(n)
    ),
    "no quotes": lambda n: "{a: 1}, " * n,
    "no records": lambda n: "tru," * n,
    "quotes": lambda n: '"' * n,
    "escaped quotes": lambda n: '{"\\"' * n,
    "backslashes": lambda n: '"' + "\\" * n,
    "opened lists": lambda n: "[" * n,
    "opened objects": lambda n: '{"日本":' * n,
    "blanks": lambda n: '{"a"   ,   ' * n,
    "blank lines": lambda n: "\n" * n + "x" + "\n \n" * n,
    "digits": lambda n: "1" * n + "," + "-" * n,
}
FILES: dict[str, tuple[str, Callable[[int], str]]] = {
    "lines": ("lines", lambda n: '{"a": \n' * n),
    "one long line": ("lines", lambda n: '{"a": ' * n),
    "rows with an open quote": ("csv", lambda n: "a,b\n" + '"x,y\n' * n),
    "rows with text after a quote": ("csv", lambda n: "a,b\n" + '"x" y,z\n' * n),
    "one open quote before many rows": ("csv", lambda n: 'a,b\nx,"y\n' + "c,d\n" * n),
    "quotes alone": ("csv", lambda n: "a,b\n" + '"""\n' * n),
    "pairs of quotes after an open one": ("csv", lambda n: 'a,b\n"x\n' + '""""\n' * n),
    "rows that are too long": ("csv", lambda n: "a,b\n" + "c,d,e\n" * n),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_the_decoder_looks_at_no_character_more_than_twice(kind, monkeypatch) -> None:
    looked_at = 0

    class Counting(json.JSONDecoder):
        def raw_decode(self, text, at=0):
            nonlocal looked_at
            try:
                value, end = super().raw_decode(text, at)
            except json.JSONDecodeError as error:
                looked_at += error.pos - at
                raise
            looked_at += end - at
            return value, end

    monkeypatch.setattr(json_elements, "_DECODER", Counting(strict=False, parse_int=float))
    text = "[" + ARRAYS[kind](2000)
    assert sum(map(len, elements(text))) <= len(text)
    assert looked_at <= 2 * len(text)


@pytest.mark.parametrize("kind", [*ARRAYS, *FILES])
def test_four_times_the_size_takes_four_times_as_long(kind) -> None:
    container, write = FILES.get(kind) or ("array", lambda n: "[" + ARRAYS[kind](n))
    n = 500
    while processor_seconds(container, write(n)) < 0.004 and n < 64_000:
        n *= 2
    for _ in range(5):  # another program may take the caches at any moment
        one, two, four = (processor_seconds(container, write(n * times)) for times in (1, 2, 4))
        if four < 9 * one and four < 4.5 * two:  # 16 and 4 where it grows with the square
            return
    pytest.fail(f"{one:.4f}, {two:.4f} and {four:.4f} s for n, 2n and 4n")


def processor_seconds(container: str, text: str) -> float:
    file = io.BytesIO(text.encode())
    started = time.process_time()
    for _ in split(file, Kind(container)):
        pass
    return time.process_time() - started


def test_many_members_of_a_compressed_file_are_read_in_one_pass() -> None:
    member = gzip.compress(b'{"a": "' + b"x" * 100_000 + b'"}\n')
    started = time.process_time()
    count = sum(1 for _ in split(io.BytesIO(member * 500), Kind("lines", "gzip")))
    assert count == 500
    assert time.process_time() - started < 1.5  # 0.2 s for 50 MB; 2.2 s if each is copied again


@pytest.mark.parametrize("bad", ['{"messages": [{"role": "user", "content": "cut', TURNS])
def test_a_malformed_conversation_costs_no_other_and_leaves_no_piece(bad) -> None:
    good = '{"messages": [{"role": "user", "content": "né"}, {"role": "assistant", "content": ""}]}'
    other = '{"instruction": "日本", "output": "a"}'
    for between in (", ", ",\n", ",\n    "):
        text = "[" + between.join([good, other, bad, other, bad, good, good]) + "]"
        assert list(elements(text)) == [good, other, bad, other, bad, good, good]


def test_a_list_that_is_never_closed_costs_its_own_record_alone() -> None:
    records = [f'{{"instruction": "q{i}", "tags": ["a"], "output": "a{i}"}}' for i in range(9)]
    cut = '{"instruction": "q", "tags": ["a", "b"'
    found = list(elements("[" + ", ".join([*records[:4], cut, *records[4:]]) + "]"))
    assert found[:4] == records[:4]
    assert found[4] == cut
    assert [each.rstrip("]") for each in found[5:]] == [
        record.rstrip("]") for record in records[4:]
    ]
