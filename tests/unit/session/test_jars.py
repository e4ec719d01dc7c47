"""Where Delta's jars come from, and what ships with the package."""

from pathlib import Path

import pytest

from instructmining.errors import UserError
from instructmining.packaged import conf_folder, data_named
from instructmining.spark.delta_jars import delta_jars, jar_cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INSTRUCTMINING_JARS", str(tmp_path))
    return tmp_path


def test_of_a_folder_only_deltas_own_jars_are_named(folder):
    names = ["io.delta_delta-spark_4.jar", "delta-storage.jar", "unitycatalog-client.jar"]
    for name in (*names, "hadoop-client.jar", "slf4j.jar", "delta-notes.txt"):
        (folder / name).touch()
    jars = delta_jars()["spark.jars"].split(",")
    assert sorted(Path(jar).name for jar in jars) == sorted(names)
    assert jars == sorted(jars)


def test_a_folder_without_jars_is_named_with_the_remedy(folder):
    with pytest.raises(UserError, match=r"INSTRUCTMINING_JARS=.* holds no .jar; put delta-spark"):
        delta_jars()


def test_without_a_folder_and_a_cache_they_are_fetched_into_our_own(tmp_path, monkeypatch):
    monkeypatch.delenv("INSTRUCTMINING_JARS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = delta_jars()
    assert settings["spark.jars.packages"].startswith("io.delta:delta-spark_")
    assert settings["spark.jars.ivy"] == str(jar_cache())
    assert Path(settings["spark.jars.ivySettings"]).is_file()
    jar = jar_cache() / "jars" / "io.delta_delta-spark.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert delta_jars() == {"spark.jars": str(jar)}


def test_the_cache_is_of_one_pair_of_spark_and_delta(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    import delta
    import pyspark

    assert delta is not None
    assert jar_cache().parent == tmp_path / "instructmining"
    assert jar_cache().name.startswith(f"spark-{pyspark.__version__}-delta-")


def test_sample_is_the_one_that_ships_unless_a_file_has_this_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data_named("sample") == str(conf_folder() / "sample")
    assert data_named("other") == "other"
    (tmp_path / "sample").mkdir()
    assert data_named("sample") == "sample"
