"""Layers of settings: the last one wins, null undoes, and Spark's keys are one however written."""

from hypothesis import given
from hypothesis import strategies as st

from instructmining.settings.loading import load_settings, nested
from instructmining.settings.sections import Settings
from instructmining.settings.spark_keys import with_spark_keys

NUMBERS = {
    "knn.neighbors": st.integers(1, 64),
    "select.top": st.integers(1, 10**6),
    "measure.chunk_rows": st.integers(1, 10**5),
    "evaluate.seeds": st.integers(2, 50),
    "finetune.epochs": st.integers(1, 9),
}
assignments = st.lists(
    st.sampled_from(sorted(NUMBERS)).flatmap(
        lambda name: st.tuples(st.just(name), st.none() | NUMBERS[name])
    ),
    max_size=8,
)


def value_of(settings: Settings, name: str) -> object:
    section, field = name.split(".")
    return getattr(getattr(settings, section), field)


@given(assignments)
def test_the_last_assignment_of_a_setting_counts_and_null_is_its_default(drawn):
    sets = [f"{name}={'null' if value is None else value}" for name, value in drawn]
    settings = load_settings(sets=sets)
    plain = load_settings()
    for name in NUMBERS:
        last = next((value for other, value in reversed(drawn) if other == name), None)
        assert value_of(settings, name) == (value_of(plain, name) if last is None else last)


@given(assignments)
def test_an_option_wins_over_every_assignment_and_an_unused_one_changes_nothing(drawn):
    sets = [f"{name}={'null' if value is None else value}" for name, value in drawn]
    used = load_settings(sets=sets, options={"knn": {"neighbors": 7}, "select": {"top": None}})
    assert used.knn.neighbors == 7
    assert used.select == load_settings(sets=sets).select


KEYS = st.lists(
    st.sampled_from(["driver", "executor", "memory", "sql", "x"]), min_size=1, max_size=4
)


@given(KEYS, st.sampled_from(["6g", "true", "1"]))
def test_a_key_of_spark_is_the_same_flat_nested_or_half_nested(parts, value):
    flat = {f"spark.{'.'.join(parts)}": value}
    whole = {"spark": {".".join(parts): value}}
    deep = {"spark": nested(parts, value)}
    expected = {"spark": {".".join(parts): value}}
    assert [with_spark_keys(layer) for layer in (flat, whole, deep)] == [expected] * 3


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=5), st.integers())
def test_a_nested_value_is_one_level_for_each_name(names, value):
    mapping = nested(names, value)
    for name in names:
        assert list(mapping) == [name]
        mapping = mapping[name]
    assert mapping == value


@given(st.sampled_from(["a", "select", "read"]), st.integers())
def test_other_keys_pass_as_they_are(name, value):
    assert with_spark_keys({name: value}) == {name: value}
