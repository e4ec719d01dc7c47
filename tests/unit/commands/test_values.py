"""What the text of an option means, and what is said where it means nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.errors import UserError
from instructmining.layouts.field_names import split_names, steps, unquoted, written
from jobs.commands.values import columns_of, indicators_of, listed, names_of, quotas, shares

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=12)
paths = st.lists(names, min_size=1, max_size=4).map(tuple)


@given(paths)
def test_a_path_that_was_written_leads_back_whatever_its_names_are(path):
    assert steps(written(path)) == path


@given(st.lists(paths, min_size=1, max_size=5))
def test_written_names_that_commas_separate_come_apart_again(several):
    assert split_names(",".join(map(written, several))) == [written(path) for path in several]


@given(names.filter(bool), names.filter(bool))
def test_columns_are_the_names_that_were_written(prompt, response):
    text = f"prompt={written([prompt])},response={written([response])}"
    assert columns_of(text) == {"prompt": prompt, "response": response}


@given(names.filter(bool))
def test_quotes_around_the_whole_of_a_name_alone_are_taken_off(name):
    quoted = '"' + name.replace('"', '""') + '"'
    assert unquoted(quoted) == name
    assert unquoted(f"a{quoted}") == f"a{quoted}"


def test_a_list_has_no_empty_parts() -> None:
    assert listed(" reward, ,perplexity,") == ("reward", "perplexity")
    assert listed("") == ()
    assert names_of('lang,"a, b"') == ("lang", "a, b")


def test_the_last_equals_sign_of_a_quota_counts_and_the_first_of_all_others() -> None:
    assert quotas(["a=b=3", "日本*=0.5"]) == {"a=b": 3.0, "日本*": 0.5}
    assert indicators_of(["score=a=b", "length"]) == {"score": "a=b", "length": "length"}
    assert shares(["reward=0.05", " unieval =0.5"]) == {"reward": 0.05, "unieval": 0.5}


@pytest.mark.parametrize(
    ("read", "text", "remedy"),
    [
        (quotas, "alpaca", "write it as PATTERN=NUMBER"),
        (quotas, "=3", "write it as PATTERN=NUMBER"),
        (quotas, "alpaca=many", "write it as PATTERN=NUMBER"),
        (shares, "reward", "write it as STAGE=SHARE"),
        (shares, "=0.5", "write it as STAGE=SHARE"),
        (shares, "reward=some", "write it as STAGE=SHARE"),
        (indicators_of, "=column", "write it as NAME=COLUMN"),
        (indicators_of, "score=", "write it as NAME=COLUMN"),
        (indicators_of, "", "write it as NAME=COLUMN"),
    ],
)
def test_a_part_of_another_form_is_named_with_the_form(read, text, remedy) -> None:
    with pytest.raises(UserError, match=remedy) as raised:
        read([text])
    assert f" {text}:" in str(raised.value)


@pytest.mark.parametrize(
    ("read", "twice"),
    [(shares, ["reward=0.1", "reward=0.2"]), (indicators_of, ["a=x", " a =y"])],
)
def test_a_name_that_stands_twice_is_refused(read, twice) -> None:
    with pytest.raises(UserError, match="once"):
        read(twice)


@pytest.mark.parametrize("text", ["turns=messages", "prompt=q,response=", "transcript="])
def test_columns_that_make_up_no_conversation_are_refused(text) -> None:
    with pytest.raises(UserError, match="--columns needs prompt=FIELD,response=FIELD"):
        columns_of(text)
