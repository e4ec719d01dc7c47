"""Entries for numbers that others computed: what their fingerprint says, and what is refused."""

import pytest

from instructmining.errors import UserError
from instructmining.models.imported import with_imported
from jobs.commands.values import indicators_of
from udfs.indicators import load_model_list, resolve

EMBEDDED = load_model_list("embedded")


def fingerprint(column: str, version: str, name: str = "oda") -> str:
    models = with_imported(EMBEDDED, {name: column}, version)
    return resolve(models.stages[name]).fingerprint


def test_name_and_version_are_the_fingerprint_and_the_column_is_not():
    assert fingerprint("a", "1") == fingerprint("b.c", "1")
    assert len({fingerprint("a", "1"), fingerprint("a", "2"), fingerprint("a", "1", "other")}) == 3


def test_the_entries_of_the_list_stay_what_they_are():
    models = with_imported(EMBEDDED, {"oda": "a"}, "1")
    assert list(models.stages) == [*EMBEDDED.stages, "oda"]
    assert {name: models.stages[name] for name in EMBEDDED.stages} == EMBEDDED.stages


@pytest.mark.parametrize("name", ["reward", "example_id", "knn_9", "mtld"])
def test_a_name_that_is_taken_is_refused(name: str):
    with pytest.raises(UserError, match="--indicator"):
        with_imported(EMBEDDED, {name: "a"}, "1")


def test_an_indicator_is_named_as_name_and_column():
    texts = ["oda=meta.oda", "len", 'edu="fineweb-edu, score"']
    assert indicators_of(texts) == {"oda": "meta.oda", "len": "len", "edu": "fineweb-edu, score"}
    for wrong in (["=a"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(UserError, match="write it as NAME=COLUMN"):
            indicators_of(wrong)
