"""The model cards against the figures beside them, and the check of those figures on a sample."""

import json
import shutil

import numpy as np
import pytest

from instructmining.errors import UserError
from instructmining.models.lists import load_model_list
from training.cards import CHOSEN, EMBEDDED, blocks_of, claims_of, missing_claims, rendered
from training.check import _standard_error, chance_differences
from training.statistics import auc

NAMES = ["lm", "lm-small", "quality"]


def card_of(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def copied(tmp_path):
    """A model's folder without its weights, to change figures in."""

    def copy(name):
        kept = shutil.ignore_patterns("*.safetensors", "tokenizer*.json")
        return shutil.copytree(EMBEDDED / name, tmp_path / name, ignore=kept)

    return copy


def change(path, edit):
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_card_is_what_its_figures_render(name):
    card = card_of(EMBEDDED / name)
    assert rendered(card, blocks_of(EMBEDDED / name), name) == card


@pytest.mark.parametrize("name", NAMES)
def test_the_prose_of_the_card_repeats_the_figures_rightly(name):
    assert missing_claims(card_of(EMBEDDED / name), claims_of(EMBEDDED / name)) == []


def test_the_note_that_every_run_prints_agrees_with_the_card():
    worst, alike = claims_of(EMBEDDED / "quality")[:2]
    note = " ".join(load_model_list("embedded").notes)
    assert worst in note
    assert alike in note


def test_a_figure_that_moved_changes_the_card_and_contradicts_its_prose(copied):
    folder = copied("quality")
    change(
        folder / "figures.json",
        lambda f: f["human"]["length_matched_pooled"].update(accuracy=0.6123),
    )
    card = rendered(card_of(folder), blocks_of(folder), "quality")
    assert "pooled 0.612 [" in card
    assert missing_claims(card, claims_of(folder)) == ["it is right in 61 of 100"]


def test_a_retrained_language_model_needs_new_prose(copied):
    folder = copied("lm")
    change(folder / "recipe.json", lambda r: r.update(tokens_seen=9_000_000))
    assert "9,000,000 tokens read" in blocks_of(folder)["recipe"]
    assert missing_claims(card_of(folder), claims_of(folder)) == ["it has read 9.0 million tokens"]


def test_a_comparison_run_that_was_not_made_is_not_in_the_table(copied):
    folder = copied("quality")
    before = blocks_of(folder)
    change(folder / "comparison.json", lambda runs: runs.pop("top 2 of 6 layers"))
    after = blocks_of(folder)
    lost = set(before["shapes"].splitlines()) - set(after["shapes"].splitlines())
    assert [line.startswith("| top 2 of 6 layers | 1.61 |") for line in lost] == [True]
    assert after["amounts"] == before["amounts"]


def test_the_worst_spoiling_is_the_lowest_of_the_run(copied):
    folder = copied("quality")
    change(folder / "comparison.json", lambda runs: runs[CHOSEN].update(reward_off_topic=0.1234))
    assert "| 0.123 (off topic) |" in blocks_of(folder)["sources"]


def test_only_marked_lines_are_written():
    card = "before 0.1\n<!-- figures: a -->\nold\n<!-- end -->\nafter 0.2\n"
    assert rendered(card, {"a": "new\nlines"}, "x") == card.replace("old", "new\nlines")
    assert rendered(card.replace("old\n", ""), {"a": "new"}, "x") == card.replace("old", "new")


@pytest.mark.parametrize(
    ("card", "blocks"),
    [
        ("<!-- figures: a -->\n<!-- end -->", {"a": "", "b": ""}),
        ("<!-- figures: a -->\n<!-- end --> <!-- figures: c -->\n<!-- end -->", {"a": ""}),
        ("<!-- figures: a -->\n<!-- figures: b -->\n<!-- end -->", {"a": "", "b": ""}),
    ],
    ids=["missing", "unknown", "not ended"],
)
def test_a_card_whose_markers_do_not_fit_is_refused_and_named(card, blocks):
    with pytest.raises(UserError, match="the card of tiny must mark each of a"):
        rendered(card, blocks, "tiny")


def test_figures_that_were_never_measured_are_asked_for(copied):
    folder = copied("lm")
    (folder / "figures.json").unlink()
    with pytest.raises(UserError, match=r"figures\.json is missing: `make models` writes it"):
        blocks_of(folder)


def share_of(wins, pairs):
    return {"swapped": {"reward": {"accuracy": round(wins / pairs, 4), "pairs": pairs}}}


@pytest.mark.parametrize("rate", [0.57, 0.93, 0.99])
def test_an_honest_sample_passes_and_a_broken_model_does_not(rate):
    generator = np.random.default_rng(5)
    card = share_of(round(300 * rate), 300)
    honest = [share_of(int(generator.binomial(60, rate)), 60) for _ in range(2000)]
    broken = [share_of(int(generator.binomial(60, rate - 0.45)), 60) for _ in range(2000)]
    assert sum(1 for found in honest if list(chance_differences(card, found))) <= 2
    assert sum(1 for found in broken if list(chance_differences(card, found))) >= 1800


def test_the_more_pairs_the_closer_they_must_be():
    card = share_of(900, 1000)
    assert not list(chance_differences(card, share_of(40, 50)))
    assert list(chance_differences(card, share_of(800, 1000))) == [
        "/swapped/reward/accuracy: recorded 0.9, found 0.8 in 1000, standard error 0.014"
    ]


def test_a_figure_that_is_not_a_number_or_not_on_the_card_is_a_difference():
    card = share_of(9, 10)
    unmeasured = {"swapped": {"reward": {"accuracy": float("nan"), "pairs": 10}}}
    assert len(list(chance_differences(card, unmeasured))) == 1
    assert len(list(chance_differences({}, card))) == 1


def test_the_standard_error_of_an_auc_is_not_understated():
    generator = np.random.default_rng(2)
    for shift in (0.0, 0.5, 2.0):
        drawn = [
            auc(generator.normal(shift, 1, 60), generator.normal(0, 1, 60)) for _ in range(500)
        ]
        assert np.std(drawn) <= _standard_error("", float(np.mean(drawn)), 60)
