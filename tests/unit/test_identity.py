"""The example id is a contract: these vectors were computed once, by hand from the definition."""

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.identity import BUCKETS, bucket, example_id, half

# Golden: a change of any of these is a new id version, and new ids for every user.
GOLDEN = {
    (("user", "Hi"), ("assistant", "Hello")): ("bc412a625768e15a79ecfcc820b74c8c"),
    (("user", "Was ist schön?"), ("assistant", "Ein Lied.")): ("98fe4cc8e8b9fc75706c629c5662aeec"),
    (("system", "Be brief."), ("user", "日本の首都は？"), ("assistant", "東京です。")): (
        "bae2a677f2fe658c985d98fd320c86a5"
    ),
    (("user", ""), ("assistant", "x")): ("ae99044c43c856eeb9505ae8bfff56b7"),
}


def by_definition(turns: tuple[tuple[str, str], ...]) -> str:
    joined = b""
    for turn in turns:
        for text in turn:
            encoded = unicodedata.normalize("NFC", text).strip().encode()
            joined += len(encoded).to_bytes(8, "big") + encoded
    return hashlib.sha256(joined).digest()[:16].hex()


def messages(turns: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


@pytest.mark.parametrize(("turns", "expected"), list(GOLDEN.items()))
def test_golden_vectors(turns: tuple[tuple[str, str], ...], expected: str) -> None:
    assert example_id(messages(turns)) == expected == by_definition(turns)


def test_composed_and_decomposed_letters_and_outer_blanks_are_one_example() -> None:
    composed = example_id(messages((("user", "schön"), ("assistant", "ja"))))
    decomposed = example_id(messages((("user", " scho\u0308n\n"), ("assistant", "\tja "))))
    assert composed == decomposed


def test_text_cannot_forge_a_boundary_between_messages() -> None:
    one = example_id(messages((("user", "a"), ("assistant", "bc"))))
    other = example_id(messages((("user", "ab"), ("assistant", "c"))))
    assert one != other


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), max_size=4))
def test_any_text_has_an_id_of_32_hex_digits(turns: list[tuple[str, str]]) -> None:
    found = example_id(messages(tuple(turns)))
    assert len(found) == 32
    assert set(found) <= set("0123456789abcdef")
    assert 0 <= bucket(found) < BUCKETS
    assert half(found) in (0, 1)


def test_a_lone_surrogate_does_not_break_the_id() -> None:
    assert example_id([{"role": "user", "content": "\ud800"}])
