"""Settings come in layers, and a mistake in them is one sentence."""

import re
from pathlib import Path

import pytest

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import STAGES


def test_the_defaults_are_what_base_yml_says() -> None:
    settings = load_settings()
    assert settings.models == "embedded"
    assert settings.stages == STAGES
    assert settings.measure.chunk_rows is None


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("pool: from_file\nknn: {neighbors: 10}\n")
    settings = load_settings(str(file), ["knn.candidates=64", "pool=from_set"], {"pool": "option"})
    assert settings.pool == "option"
    assert (settings.knn.neighbors, settings.knn.candidates) == (10, 64)


def test_options_that_were_not_given_change_nothing() -> None:
    assert load_settings(options={"pool": None, "measure": {"device": None}}) == load_settings()


def test_null_puts_a_setting_back_to_its_default_in_a_file_and_in_a_set(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(
        "files: /shared\nmeasure: {token_budget: 99}\nknn: {neighbors: 10, probes: 8}\n"
        "fit: {budget_minutes: 30}\nselect: {per_source: 5, quota: {web: 3}}\n"
    )
    settings = load_settings(str(file))
    assert settings.fit.budget_minutes == 30
    assert (settings.knn.neighbors, settings.knn.probes) == (10, 8)
    sets = ["files=null", "measure.token_budget=null", "knn.neighbors=null", "fit.budget_minutes="]
    settings = load_settings(str(file), [*sets, "select={per_source: null}", "select.quota=null"])
    assert settings.files is None
    assert settings.measure.token_budget is None
    assert (settings.knn.neighbors, settings.knn.probes) == (6, 8)
    assert settings.fit.budget_minutes is None
    assert settings.select.per_source is None
    assert settings.select.quota == {}
    assert load_settings(str(file), ["knn=null"]).knn.probes == 64

    file.write_text("knn:\n  neighbors: null\nfit:\nselect: {per_source:}\nexport: {to: null}\n")
    assert load_settings(str(file)) == load_settings()


def test_a_later_value_wins_over_null_and_an_unused_option_leaves_the_null() -> None:
    options = {"fit": {"budget_minutes": None}}
    assert (
        load_settings(None, ["fit=null", "fit.budget_minutes=5"], options).fit.budget_minutes == 5
    )
    sets = ["fit.budget_minutes=5", "fit.budget_minutes=null"]
    assert load_settings(None, sets, options).fit.budget_minutes is None


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("fit.budget_minute=null", "unknown setting fit.budget_minute; did you mean"),
        ("select.quota.web=null", "setting select.quota.web: Input should be a valid number"),
        ("mesure.dtype=float32", "unknown setting mesure; did you mean measure"),
        ("measure.dtyp=float32", "unknown setting measure.dtyp; did you mean measure.dtype"),
        ("measure.dtype=float64", "setting measure.dtype"),
        ("knn.neighbors=0", "setting knn.neighbors"),
        ("stages=[rewards]", "unknown stage 'rewards'; did you mean reward"),
        ("pool", "write it as key.name=value"),
        ("select.quota={a:5}", "a:5 has no value; YAML needs a space after the colon"),
        ("pool=''", "setting pool: String should have at least 1 character"),
        ("knn=3", "setting knn: Input should be a valid dictionary"),
        ("knn.neighbors=[", "--set knn.neighbors is not YAML"),
        ("zzz=1", "unknown setting zzz; there are input, store, "),
    ],
)
def test_a_mistake_is_named_with_its_remedy(assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        load_settings(sets=[assignment])


def test_a_settings_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"absent\.yml"):
        load_settings("absent.yml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- knn\n- rule\n", "has to be lines of `name: value`, not ['knn', 'rule']"),
        (b"pool: a\nknn: {neighbors: 3\nrule: b\n", "is not YAML: "),
        (b"pool: \xff\n", "is not UTF-8 (byte 6)"),
    ],
)
def test_a_settings_file_that_is_no_mapping_is_named_in_one_sentence(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "mine.yml").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load_settings(str(tmp_path / "mine.yml"))
    assert str(caught.value).startswith(f"settings file {tmp_path}/mine.yml")
    assert len(str(caught.value).splitlines()) == 1


def test_an_empty_settings_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("# nothing yet\n")
    assert load_settings(str(tmp_path / "mine.yml")) == load_settings()


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().pool = "other"  # type: ignore[misc]


def test_the_sample_that_ships_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [folder] = load_settings(options={"input": ("sample",)}).input
    assert Path(folder, "alpaca.json").is_file()
    Path("sample").touch()  # a file of one's own comes first
    assert load_settings(options={"input": ("sample",)}).input == ("sample",)
