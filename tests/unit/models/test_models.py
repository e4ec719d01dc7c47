"""Model lists and fingerprints: equal fingerprints must mean equal numbers, and only that."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec, locate
from instructmining.rules.rule import LinearRule
from instructmining.settings.loading import load_settings
from jobs.scoring.asked_stages import chosen_stages, needed_models
from jobs.scoring.rule_choice import RuleChoice, rule_for
from udfs.indicators import load_model_list, resolve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    save_file({"weights": np.ones(2, np.float32)}, made / "model.safetensors")
    (made / "tokenizer.json").write_text("{}")
    (made / "config.json").write_text(json.dumps({"layers": 2, "transformers_version": "5.0"}))
    (made / "README.md").write_text("a card")
    return made


def fingerprint(folder: Path, **changes: object) -> str:
    spec = {"kind": "causal_lm", "source": str(folder), "indicators": ("perplexity",)}
    return resolve(ModelSpec(**{**spec, **changes})).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda f: save_file({"weights": np.zeros(2, np.float32)}, f / "model.safetensors"),
        lambda f: (f / "tokenizer.json").write_text('{"other": 1}'),
        lambda f: (f / "config.json").write_text('{"layers": 3}'),
    ],
)
def test_what_defines_the_number_changes_the_fingerprint(folder: Path, change) -> None:
    before = fingerprint(folder)
    change(folder)
    assert fingerprint(folder) != before


def test_the_fingerprints_of_the_shipped_models_are_those_of_stored_values() -> None:
    """As an earlier version wrote them into its tables: another one would measure all again."""
    models = load_model_list("embedded")
    assert {stage: resolve(spec).fingerprint for stage, spec in models.stages.items()} == {
        "reward": "1ccb4f7a64061b48bbcc2aa9c77bcb40",
        "perplexity": "1ee17b8ab70a56d4ba9071c3199d573a",
        "embed": "046c9225f407ea7db92b2f52ac48056e",
        "mtld": "214764d1cadd8ecb697263cfda828e9c",
    }
    own = ModelSpec(kind="python", function="m:f", indicators=("x",))
    assert resolve(own).fingerprint == "5040fd73dfa163bbdc5850ce3b4430d6"


@pytest.mark.parametrize("setting", [{"max_length": 64}, {"template": "alpaca"}])
def test_a_setting_that_defines_the_number_changes_the_fingerprint(folder: Path, setting) -> None:
    assert fingerprint(folder, **setting) != fingerprint(folder)


def test_provenance_and_location_leave_the_fingerprint_alone(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "README.md").write_text("another card")
    config = {"layers": 2, "transformers_version": "6.1", "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    moved = folder.rename(folder.parent / "moved")
    assert fingerprint(moved, about="a note", revision=None) == before


@pytest.mark.parametrize("name", ["embedded", "modern", "paper"])
def test_the_shipped_lists_are_valid_and_cover_the_indicators(name: str) -> None:
    found = {i for spec in load_model_list(name).stages.values() for i in spec.indicators}
    wanted = {
        "input_length",
        "output_length",
        "reward",
        "perplexity",
        "perplexity_alone",
        "ifd",
        "mtld",
    }
    assert wanted <= found


def test_no_shipped_list_runs_code_from_a_hub() -> None:
    for name in ("embedded", "modern", "paper"):
        assert not any(s.trust_remote_code for s in load_model_list(name).stages.values())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("./absent", "there is no folder"),
        ("embedded:absent", "there is no folder"),
        ("package:no_such_package", "is not installed"),
    ],
)
def test_a_model_that_is_not_there_is_named(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        locate(source)


def test_an_unknown_list_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"embedded, modern, paper"):
        load_model_list("embeded")


def test_a_list_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("name: mine\nrewards: {}\n")
    with pytest.raises(UserError, match="rewards"):
        load_model_list(str(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "entry name is missing"),
        ("- reward\n", "has to be lines of `name: value`, not ['reward']"),
        ("name: x\nrewrd: {}\n", "unknown entry rewrd; did you mean reward?"),
        (
            "name: x\nreward: {kind: mtld, sorce: y, indicators: [mtld]}\n",
            "unknown entry reward.sorce; did you mean reward.source?",
        ),
        (
            "name: x\nclassifiers: {toxic: {kind: mtld, lable: y, indicators: [toxic]}}\n",
            "unknown entry classifiers.toxic.lable; did you mean classifiers.toxic.label?",
        ),
        (
            "name: x\nreward: {kind: bert, indicators: [reward]}\n",
            "entry reward.kind: there is no kind 'bert'; choose one of causal_lm, ",
        ),
        (
            "name: x\nclassifiers: {toxic: {kind: Mtld, indicators: [toxic]}}\n",
            "entry classifiers.toxic.kind: there is no kind 'Mtld'; choose one of causal_lm, ",
        ),
        ("name: x\nreward: {kind: mtld}\n", "entry reward.indicators is missing"),
        ("name: x\nreward: {kind: [}\n", "is not YAML: "),
    ],
)
def test_a_mistake_in_a_model_list_is_one_sentence(tmp_path: Path, content, message) -> None:
    (tmp_path / "mine.yml").write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load_model_list(str(tmp_path / "mine.yml"))
    assert str(tmp_path / "mine.yml") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


MTLD = "mtld: {kind: mtld, indicators: [mtld]}"


def classifiers(**indicators: str) -> str:
    """Lines of a model list: a function for each name, and what it measures."""
    lines = [
        f"  {name}: {{kind: python, function: 'm:f', indicators: [{measured}]}}"
        for name, measured in indicators.items()
    ]
    return "\n".join(["classifiers:", *lines])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f"{MTLD}\n{classifiers(diversity='mtld')}",
            "entries mtld and classifiers.diversity both measure the indicator mtld: leave it out "
            "of one, or give one of the two another name",
        ),
        (
            classifiers(a="слова", b="Слова"),
            "entries classifiers.a and classifiers.b both measure the indicator Слова: ",
        ),
        (
            "perplexity: {kind: causal_lm, indicators: [ifd, nll, ifd]}",
            "entry perplexity names an indicator twice: ",
        ),
        (
            classifiers(mtld="words"),
            "entry classifiers.mtld has the name of the built-in stage mtld: give the classifier",
        ),
        (classifiers(rule="words"), "entry classifiers.rule has the name of the built-in stage"),
        (classifiers(KNN="words"), "entry classifiers.KNN has the name of the built-in stage knn"),
        (classifiers(ingest="words"), "entry classifiers.ingest has the name of the built-in"),
        (classifiers(**{"a.b": "words"}), "entry classifiers.'a.b' is not a name of letters, "),
        (
            classifiers(toxic="t", Toxic="u"),
            "entries classifiers.toxic and classifiers.Toxic differ in case only: give one",
        ),
        (
            classifiers(a="example_id"),
            "entry classifiers.a names an indicator 'example_id', which is the name of a column",
        ),
        (classifiers(a="Percentile"), "an indicator 'Percentile', which is the name of a column"),
        (classifiers(a="copies"), "an indicator 'copies', which is the name of a column"),
        (classifiers(a="embed"), "an indicator 'embed', which is the name of a column or a stage"),
        (classifiers(a="knn_3"), "an indicator 'knn_3', which is the name of a column or a stage"),
        (classifiers(a="contribution_x"), "an indicator 'contribution_x', which is the name of"),
        (classifiers(a="'two words'"), "an indicator 'two words': it becomes a column, so write"),
        (classifiers(a=""), "entry classifiers.a.indicators: Tuple should have at least 1 item"),
        (
            classifiers(a="words, lines"),
            "entry classifiers.a names 2 indicators, and a model of kind python gives one number",
        ),
        (
            "embed: {kind: sentence_encoder, source: package:p, indicators: [near]}",
            "entry embed measures distances to neighbours, not 'near': name its indicator knn_6",
        ),
        (
            "embed: {kind: mtld, indicators: [knn_6]}",
            "entry embed is of kind mtld: the entry embed takes a sentence_encoder, and no other",
        ),
        (
            "reward: {kind: sentence_encoder, source: package:p, indicators: [reward]}",
            "entry reward is of kind sentence_encoder: the entry embed takes a sentence_encoder",
        ),
    ],
)
def test_a_list_that_contradicts_itself_is_refused_by_the_entries_that_do(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(f"name: mine\n{content}\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_model_list(str(file))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{file}: entr")
    assert len(str(caught.value).splitlines()) == 1


def test_an_indicator_may_have_its_stage_s_name_and_any_entry_may_measure_a_known_one(tmp_path):
    """What other lists leave free: `mtld` without that stage, lengths from one's own function."""
    listed = classifiers(words="words", diversity="mtld", lengths="input_length", toxic_2="тон")
    file = tmp_path / "mine.yml"
    file.write_text(f"name: mine\n{listed}\n", encoding="utf-8")
    assert list(load_model_list(str(file)).stages) == ["words", "diversity", "lengths", "toxic_2"]


def test_a_classifier_is_a_stage_by_its_own_name_and_one_that_is_none_is_refused(tmp_path: Path):
    entry = "{kind: python, function: 'm:f', version: '1', indicators: [words]}"
    (tmp_path / "mine.yml").write_text(
        f"name: mine\nmtld: {{kind: mtld, indicators: [mtld]}}\nclassifiers: {{words: {entry}}}\n"
    )
    models = load_model_list(str(tmp_path / "mine.yml"))

    def chosen(*stages: str) -> list[str]:
        return chosen_stages(load_settings(options={"stages": stages or None}).stages, models)

    assert chosen() == ["mtld", "words"]
    assert chosen("reward", "mtld") == ["mtld"]
    assert chosen("classifier:words", "mtld") == ["mtld", "words"]
    with pytest.raises(
        UserError,
        match=r"classifier:wrods: the model list 'mine' has no such .*; "
        "it has words",
    ):
        chosen("classifier:wrods")


@pytest.mark.parametrize(
    ("stages", "wanted"),
    [
        (("ingest",), []),
        (("ingest", "mtld"), ["mtld"]),
        (("knn",), ["embed"]),
        (("embed", "knn"), ["embed"]),
        (("rule",), ["reward", "perplexity", "embed", "mtld"]),
    ],
)
def test_only_models_that_a_run_needs_are_looked_for(stages, wanted) -> None:
    settings = load_settings(options={"stages": stages})
    models = load_model_list("embedded")
    assert needed_models(settings.stages, models, chosen_stages(settings.stages, models)) == wanted


def choice(models, resolved, settings) -> RuleChoice:
    return rule_for(models, resolved, settings.rule, settings.knn, settings.tracking)


def test_a_rule_of_more_neighbours_than_are_measured_is_refused_before_anything_is(tmp_path):
    terms = {"name": "far", "version": "1", "intercept": 0.0, "coefficients": {"knn_10": -0.5}}
    rule = LinearRule(**terms)
    (tmp_path / "far.json").write_text(rule.to_json())
    given = {"rule": {"source": str(tmp_path / "far.json")}, "tracking": {"uri": "none"}}
    models = load_model_list("embedded")
    resolved = {stage: resolve(spec) for stage, spec in models.stages.items()}
    with pytest.raises(UserError, match=r"rule far needs knn_10, and 6 .*--set knn.neighbors=10"):
        choice(models, resolved, load_settings(options=given))
    more = load_settings(options={**given, "knn": {"neighbors": 10}})
    assert choice(models, resolved, more).rule.coefficients == {"knn_10": -0.5}
