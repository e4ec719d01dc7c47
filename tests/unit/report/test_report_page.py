"""The page of a report, from hand-made facts: escaped, self-contained, readable everywhere."""

import itertools
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from chromium import Elements, needs_chromium, opened

from instructmining.packaged import conf_folder
from instructmining.report.caveats import Measurer, Term
from instructmining.report.charts import Scale, histogram_path
from instructmining.report.counts import Counts, SourceCount
from instructmining.report.evaluations import ArmLoss, Evaluation, EvaluationSetLosses
from instructmining.report.extremes import Explained, Step, Text, axis
from instructmining.report.finetunings import Experiment, Fit, Losses
from instructmining.report.neighbors import Group, Member, Neighbors
from instructmining.report.page import Told, conclusions, figure, render
from instructmining.report.scored import Scored, short_names
from instructmining.rules.canary import Preference
from instructmining.rules.rule import LinearRule
from instructmining.settings.sections import Report
from instructmining.store.distributions import Spread

ATTACK = (
    """</div></style>"><script>document.title='taken'</script>"""
    """<img src=x onerror="document.title='taken'">'&{{ 7*7 }}"""
)
ARABIC = "كيف أحفظ كلمات جديدة في لغة أجنبية؟"
CHINESE = "先留意自己在什么时候会咬指甲。" * 40
SPREAD = Spread(98, 2, 0.5, 0.25, (0.1, 0.3, 0.5, 0.7, 0.9))
EMPTY = Spread(0, 100, None, None, ())


def explained(prediction: float, prompt: str, response: str) -> Explained:
    steps = (Step("reward", -2.0, 0.3, 1.0, 0.1), Step(ATTACK, 1.2, prediction - 1.3, 1.3, -0.2))
    return Explained(
        "ab" * 16,
        f"data/{ATTACK}.jsonl",
        prediction,
        1.0,
        True,
        1.0,
        steps,
        Text(prompt, len(prompt)),
        Text(response[:100], len(response)),
    )


@pytest.fixture(scope="module")
def told() -> Told:
    rule = LinearRule(
        name=ATTACK,
        intercept=1.0,
        coefficients={"reward": -0.15, ATTACK: 2.0},
        ranges={"reward": (-1.0, 1.0)},
        provenance={"base_model": ATTACK},
    )
    source = f"data/{ATTACK}.jsonl"
    names = ["predicted_log_loss", "reward", ATTACK, "mtld"]
    scored = Scored(
        SimpleNamespace(target=ATTACK),
        ATTACK,
        ATTACK,
        "1",
        rule,
        "",
        (),
        None,
        ("reward", ATTACK, "mtld"),
        ("ifd",),
        ("reward", ATTACK),
    )
    spread = dict.fromkeys(names[:3], SPREAD) | {"mtld": EMPTY}
    bins = (np.linspace(0.0, 1.0, 5), np.array([1, 4, 3, 2]), 2)
    member = Member("cd" * 16, source, Text(ATTACK, len(ATTACK)), Text("", 0))
    counts = Counts(
        (SourceCount(source, 95, 90, 4), SourceCount("data/b.csv", 10, 10, 0)),
        ((ATTACK, 3), ("blank_response", 1)),
        ((f"reward: {ATTACK}", 2),),
        98,
        7,
        False,
        (("ab" * 16, 3),),
    )
    return Told(
        scored,
        counts,
        {None: spread, source: spread, "data/b.csv": spread},
        dict.fromkeys(names[:3], bins),
        pd.DataFrame([[1, -0.6, np.nan]] * 3, index=names[:3], columns=names[:3]),
        100,
        [
            Term("reward", -0.15, (-0.2, -0.1), (-1.0, 1.0), ATTACK, 0.1, 0.2, 0.8),
            Term(ATTACK, None, None, None, "", 0.1, 0.05, 0.2),
        ],
        [Preference(ATTACK, 3.0, 4)],
        [explained(-0.4, ARABIC, CHINESE), explained(-0.2, ATTACK, "w" * 5000)],
        [explained(0.9, "日本語で" + ATTACK, "")],
        Neighbors(98, 2, ATTACK, {0.1: 4, 0.3: 9}, (Group(0.01, 6, (member, member)),)),
        [Measurer("reward", ATTACK, "f" * 32)],
        [ATTACK],
        Fit(
            (("base model", ATTACK),),
            (("this rule", 0.01), (ATTACK, 0.02)),
            ATTACK,
            ((0.1, 0.2), (0.3, 0.25)),
        ),
        [Experiment(ATTACK, ATTACK, 12, 1, 12, 1000, 60.0, (Losses(ATTACK, None, 1, 2, 3),))],
        Evaluation(
            "run",
            {ATTACK: ATTACK},
            (
                EvaluationSetLosses(
                    ATTACK,
                    (ArmLoss(ATTACK, 5, 1.2, (1.1, 1.3)), ArmLoss("random", 1, 1.25, None)),
                    Scale(1.0, 1.4),
                ),
            ),
            (ATTACK,),
        ),
        Report(),
    )


@pytest.fixture(scope="module")
def page(told: Told) -> str:
    return render(told, "run-1", datetime(2026, 1, 2, 3, 4, tzinfo=UTC))


def test_nothing_from_the_data_becomes_markup(page: str) -> None:
    elements = Elements(page)
    assert not {"script", "img", "iframe", "object", "link"} & {tag for tag, _ in elements.found}
    assert not [name for _, given in elements.found for name in given if name.startswith("on")]
    assert "<script" not in page
    assert "{{ 7*7 }}" in page  # no template is read from data
    assert page.count("&lt;script&gt;") > 10  # it is shown, in many places, and inert


def test_the_page_needs_no_network_and_forbids_it(page: str) -> None:
    elements = Elements(page)
    links = [given.get(key) for _, given in elements.found for key in ("href", "src", "srcset")]
    assert all(link.startswith("#") for link in links if link)
    assert "@import" not in page
    assert not re.findall(r"url\(", page)
    [policy] = [m for m in elements.named("meta") if m.get("http-equiv")]
    assert policy["content"].startswith("default-src 'none'")


def test_a_reader_of_the_screen_finds_headings_labels_and_anchors(page: str) -> None:
    elements = Elements(page)
    assert elements.named("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in elements.named("svg"))
    ids = [given["id"] for _, given in elements.found if "id" in given]
    assert len(ids) == len(set(ids))
    targets = {given["href"][1:] for given in elements.named("a")}
    assert targets <= set(ids)


def test_missing_numbers_cut_and_empty_texts_are_said(page: str) -> None:
    text = Elements(page).text
    assert "98 examples, 2 without a value" in text
    assert "0 examples, 100 without a value; mean –, median –" in text
    assert "Shown: 100 of 5,000 characters." in text
    assert "There is no text." in text
    assert "Not measured in this pool: ifd" in text
    assert ARABIC in text
    assert "Lower predicted log loss is better:" in text


def test_the_waterfall_adds_up_from_the_intercept_to_the_prediction(told: Told) -> None:
    for each in [*told.best, *told.worst]:
        assert each.intercept + sum(s.contribution for s in each.steps) == pytest.approx(
            each.prediction, rel=1e-12
        )
        assert each.steps[-1].end == pytest.approx(each.prediction, rel=1e-12)
    low, high = axis([*told.best, *told.worst])
    assert (low, high) == pytest.approx((-0.4, 1.3))


def test_bars_lie_where_their_numbers_are() -> None:
    scale = Scale(-1.0, 3.0)
    assert [scale.at(v) for v in (-1, 0, 1, 3, 99, -99)] == [0, 25, 50, 100, 100, 0]
    assert scale.bar(1.0, 0.0) == (25.0, 25.0)
    assert histogram_path(np.array([2, 4])) == "M0 96V48.0H200.0V0.0H400.0V96Z"


def test_figures_are_short_and_their_minus_is_a_minus() -> None:
    given = (None, float("nan"), 0.0, -0.123456, 1234567.0, 8.2571e-05)
    assert [figure(v) for v in given] == ["–", "–", "0", "−0.1235", "1,234,567", "8.257e−05"]


def test_sources_lose_the_folders_they_share() -> None:
    assert short_names(["a/b/x.json", "a/b/c/y.json"]) == {
        "a/b/x.json": "x.json",
        "a/b/c/y.json": "c/y.json",
    }
    assert short_names(["main.raw.t"]) == {"main.raw.t": "main.raw.t"}
    assert short_names(["only/one.json"]) == {"only/one.json": "one.json"}
    assert short_names([]) == {}


def test_the_page_says_what_to_conclude(told: Told) -> None:
    said = conclusions(told, short_names([each.source for each in told.counts.sources]))
    assert said[0] == ("Of 109 records 100 are scored, 5 are copies of these and 4 cannot be used.")
    assert "reward: 80 %" in said[-1]


def channels(color: str) -> list[float]:
    values = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]


def luminance(color: str) -> float:
    red, green, blue = channels(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(scheme: str) -> None:
    style = (conf_folder() / "report" / "style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    for ink in ("ink", "soft", "accent", "good", "bad"):
        for ground in ("ground", "panel", *(["warn"] if ink == "ink" else [])):
            pair = sorted((luminance(colors[ink]), luminance(colors[ground])), reverse=True)
            assert (pair[0] + 0.05) / (pair[1] + 0.05) >= 4.5, (scheme, ink, ground)


@needs_chromium
def test_in_a_browser_nothing_runs_and_a_phone_needs_no_sideways_scrolling(page, tmp_path) -> None:
    for width in (390, 1280):
        document = opened(page, tmp_path, width)
        [root] = document.named("html")
        assert int(root["data-seen"]) == width
        assert int(root["data-wide"]) <= width
        assert root["data-ground"] == "rgb(245, 246, 248)"
        assert not document.named("script")
        assert not document.named("img")
        assert root["data-title"].startswith("</div>")  # and not what the script would make it


@needs_chromium
def test_in_a_browser_the_page_follows_the_dark_scheme(page, tmp_path) -> None:
    dark = opened(page, tmp_path, 800, "--blink-settings=preferredColorScheme=0")
    [root] = dark.named("html")
    assert root["data-ground"] == "rgb(17, 21, 27)"
