"""Names of fields in options: dotted paths, and names in double quotes."""

import pytest

from instructmining.errors import UserError
from instructmining.layouts.field_names import split_names, steps, unquoted, written
from instructmining.layouts.records import lookup
from jobs.commands.values import columns_of, names_of

RECORD = {
    "Question, full": "q",
    "a.b": "literal",
    "a": {"b": "nested", "c.d": {"e": "deep"}},
    'the "best" one': "quotes",
    "質問、全文": "日本",
    "list": [{"x,y": None}, {"x,y": "second"}],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Question, full", "q"),
        ('"Question, full"', "q"),
        ("a.b", "literal"),
        ('"a"."b"', "nested"),
        ('a."c.d".e', "deep"),
        ("a.c.d.e", None),
        ('"the ""best"" one"', "quotes"),
        ("質問、全文", "日本"),
        ('list.1."x,y"', "second"),
        ('list.0."x,y"', None),
        ("", None),
        ('"', None),
    ],
)
def test_a_field_is_found_by_its_name_or_by_the_path_to_it(name: str, value: str | None) -> None:
    assert lookup(RECORD, name) == value


def test_commas_in_double_quotes_do_not_separate() -> None:
    assert split_names('a, "b, c" ,d."e,f",, 6" pipe') == ["a", '"b, c"', 'd."e,f"', '6" pipe']
    assert names_of('lang, "a, b",meta."c.d"') == ("lang", "a, b", 'meta."c.d"')


def test_a_path_is_written_so_that_it_leads_back() -> None:
    for path in (("a",), ("a.b", "c"), ("x, y",), ('"',), (" blank ",), ("", "a"), ("質問", "0")):
        assert steps(written(path)) == path
        assert split_names(written(path)) == [written(path)]
    assert written(["meta", "lang"]) == "meta.lang"
    assert (unquoted('"a"."b"'), unquoted('"a ""b"""')) == ('"a"."b"', 'a "b"')


def test_columns_with_commas_and_dots_are_named_in_double_quotes() -> None:
    expected = {"prompt": "Question, full", "response": "a=b"}
    assert columns_of('prompt="Question, full", response=a=b') == expected
    speakers = columns_of('transcript=talk,user="Smith, Ann",assistant=Bot')
    assert speakers == {"transcript": "talk", "user": "Smith, Ann", "assistant": "Bot"}


def test_the_command_offered_for_a_name_with_a_comma_names_it() -> None:
    with pytest.raises(UserError) as error:
        columns_of("prompt=Question, full,response=Answer, short,system=s.x")
    offered = str(error.value).rpartition("--columns '")[2].removesuffix("'")
    assert columns_of(offered) == {
        "prompt": "Question, full",
        "response": "Answer, short",
        "system": "s.x",
    }
    with pytest.raises(UserError, match="prompt=FIELD,response=FIELD"):
        columns_of("prompt=q")
