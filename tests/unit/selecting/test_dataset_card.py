"""The command on a dataset card, which chooses the same examples again."""

import shlex

from instructmining.selecting.card import Card
from instructmining.settings.sections import Settings
from jobs.commands.options import settings_of
from jobs.commands.select import select


def test_quotas_in_the_command_are_the_numbers_that_were_given():
    quota = {"alpaca": 1234567.0, "日本*": 0.1234567891, "chat": 5.0}
    settings = Settings.model_validate({"store": "out", "select": {"top": 9, "quota": quota}})
    words = shlex.split(Card(settings, None, None, None, (), None, "r").command())
    given = [words[i + 1] for i, word in enumerate(words) if word == "--quota"]
    assert given == ["alpaca=1234567", "日本*=0.1234567891", "chat=5"]


def test_the_command_of_a_choice_from_everything_ever_scored_says_so():
    for given, expected in (({}, False), ({"current": True}, False), ({"current": False}, True)):
        settings = Settings.model_validate({"store": "out", "select": {"top": 9, **given}})
        words = shlex.split(Card(settings, None, None, None, (), None, "r").command())
        assert (words[-1] == "--all") is expected
        assert [word for word in words if "current" in word] == []


def test_the_command_of_a_choice_for_a_target_names_it_and_is_one_that_select_takes():
    chosen = {"strategy": "target", "target": "wanted=a.jsonl", "whiten": True, "top": 9}
    settings = Settings.model_validate({"store": "out", "select": chosen})
    words = shlex.split(Card(settings, None, None, None, (), None, "r").command())
    taken = settings_of("select", select.make_context("select", words[2:]).params).select
    assert taken.model_dump(exclude_defaults=True) == chosen
