"""Spark's own settings: written flat or nested, in a file or by --set, the later one wins."""

import pytest

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.spark.session import spark_conf


@pytest.mark.parametrize(
    "written",
    [
        "spark: {driver: {memory: 6g}}",
        "spark: {driver.memory: 6g}",
        "spark: {spark.driver.memory: 6g}",
        "spark.driver.memory: 6g",
    ],
)
def test_a_file_names_them_flat_or_nested(written, tmp_path):
    (tmp_path / "mine.yml").write_text(written)
    settings = load_settings(str(tmp_path / "mine.yml"))
    assert spark_conf(settings.spark) == {"spark.driver.memory": "6g"}
    over = load_settings(str(tmp_path / "mine.yml"), ["spark.driver.memory=8g"])
    assert spark_conf(over.spark) == {"spark.driver.memory": "8g"}


def test_a_name_may_be_the_beginning_of_another():
    given = ["spark.speculation=true", "spark.speculation.interval=1s", "spark.memory.fraction=0.5"]
    assert spark_conf(load_settings(sets=given).spark) == {
        "spark.speculation": "true",
        "spark.speculation.interval": "1s",
        "spark.memory.fraction": "0.5",
    }


@pytest.mark.parametrize("wrong", ["spark=6g", "spark.driver.memory=[6g]", "spark=[a]"])
def test_what_is_no_value_of_sparks_is_refused(wrong):
    with pytest.raises(UserError, match=r"name one value of Spark's, as in spark.driver.memory=6g"):
        load_settings(sets=[wrong])


def test_the_master_is_named_in_the_environment():
    with pytest.raises(UserError, match="SPARK_MASTER"):
        load_settings(sets=["spark.master=local[1]"])


def test_null_undoes_what_a_file_says(tmp_path):
    (tmp_path / "mine.yml").write_text("spark: {driver.memory: 6g, executor.memory: 2g}")
    settings = load_settings(str(tmp_path / "mine.yml"), ["spark.driver.memory=null"])
    assert spark_conf(settings.spark) == {"spark.executor.memory": "2g"}
    assert spark_conf(load_settings(str(tmp_path / "mine.yml"), ["spark=null"]).spark) == {}


def test_none_is_set_by_default_and_none_is_recorded():
    assert spark_conf(load_settings().spark) == {}
    secret = load_settings(sets=["spark.hadoop.fs.s3a.secret.key=abc"])
    assert spark_conf(secret.spark) == {"spark.hadoop.fs.s3a.secret.key": "abc"}
    assert "abc" not in str(secret.model_dump())


def test_null_takes_one_of_sparks_settings_back_or_all_of_them() -> None:
    given = ["spark.speculation=true", "spark.driver.memory=6g"]
    one = load_settings(sets=[*given, "spark.driver.memory=null"])
    assert spark_conf(one.spark) == {"spark.speculation": "true"}
    assert spark_conf(load_settings(sets=[*given, "spark=null"]).spark) == {}
    unused = load_settings(sets=given, options={"spark": {"driver.memory": None}})
    assert spark_conf(unused.spark)["spark.driver.memory"] == "6g"
