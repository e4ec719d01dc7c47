"""Which local sessions map an archive of classes, its name, and who may have written it."""

import os
from pathlib import Path

import pytest

from instructmining.errors import UserError
from instructmining.spark import make_class_archive
from instructmining.spark.class_archive import (
    CLASS_PATH,
    JARS,
    OPTIONS,
    SWITCH,
    archive_name,
    find_archive,
    of_same_place,
    with_class_archive,
)
from instructmining.spark.local_settings import JAVA_OPTIONS


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Delta's jars, a Java and a Spark, all in folders of their own and with a blank in the way."""
    root = tmp_path / "a folder"
    for file in ("java/bin/java", "java/lib/modules", "spark/jars/core.jar", "delta/delta-d.jar"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("1")
    (root / "delta" / "delta-e.jar").write_text("1")
    monkeypatch.setenv("JAVA_HOME", str(root / "java"))
    monkeypatch.setenv("SPARK_HOME", str(root / "spark"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    monkeypatch.setenv("INSTRUCTMINING_JARS", str(root / "delta"))
    monkeypatch.delenv(SWITCH, raising=False)
    return f"{root}/delta/delta-d.jar,{root}/delta/delta-e.jar"


def made(jars: str) -> Path:
    name = archive_name(jars)
    assert name is not None
    name.parent.mkdir(mode=0o700, parents=True)
    archive = name.with_name(f"{name.name}-7.jsa")
    archive.write_text("classes")
    archive.chmod(0o444)
    return archive


def settings(jars: str, **other: str) -> dict[str, str]:
    return {"spark.driver.memory": "3g", OPTIONS: JAVA_OPTIONS, JARS: jars} | other


def test_delta_goes_to_the_class_path_of_a_session_with_the_archive(jars: str):
    archive = made(jars)
    assert with_class_archive(settings(jars), {JARS: jars}) == {
        "spark.driver.memory": "3g",
        CLASS_PATH: jars.replace(",", ":"),
        OPTIONS: f'{JAVA_OPTIONS} -Xshare:auto "-XX:SharedArchiveFile={archive}"',
    }


def test_without_an_archive_nothing_changes(jars: str):
    assert with_class_archive(settings(jars), {JARS: jars}) == settings(jars)
    first = {OPTIONS: JAVA_OPTIONS, "spark.jars.packages": "io.delta:delta"}
    assert with_class_archive(first, {"spark.jars.packages": "io.delta:delta"}) == first


@pytest.mark.parametrize(
    "own", [{OPTIONS: "-Xss8m"}, {JARS: "/mine.jar"}, {CLASS_PATH: "/mine.jar"}]
)
def test_java_options_jars_and_a_class_path_of_the_operators_stay(jars: str, own: dict[str, str]):
    made(jars)
    assert with_class_archive(settings(jars) | own, {JARS: jars}) == settings(jars) | own


def test_an_archive_of_another_java_spark_or_delta_has_another_name(jars: str, tmp_path: Path):
    names = {str(archive_name(jars))}
    assert names == {str(archive_name(jars))}
    root = tmp_path / "a folder"
    os.utime(root / "delta" / "delta-d.jar", (1, 1))
    names.add(str(archive_name(jars)))
    (root / "java" / "lib" / "modules").write_text("21")
    names.add(str(archive_name(jars)))
    (root / "spark" / "jars" / "more.jar").touch()
    archive = archive_name(jars)
    assert archive is not None
    names.add(str(archive))
    assert len(names) == 4
    assert all(Path(f"{name}-7.jsa").match(of_same_place(archive)) for name in names)


def test_an_archive_of_another_environment_is_left_alone(
    jars: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = archive_name(jars)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "other"))
    second = archive_name(jars)
    assert first is not None
    assert second is not None
    assert first.parent == second.parent
    assert not Path(f"{first}-7.jsa").match(of_same_place(second))


@pytest.mark.parametrize(
    "name", ["HADOOP_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "SPARK_DIST_CLASSPATH"]
)
def test_another_class_path_has_none(jars: str, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "/somewhere")
    assert archive_name(jars) is None


def test_none_where_it_is_off_or_spark_or_java_are_laid_out_otherwise(
    jars: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert archive_name("") is None
    assert archive_name("/a:b/delta.jar") is None
    assert archive_name("/gone/delta.jar") is None
    monkeypatch.setenv(SWITCH, "off")
    assert archive_name(jars) is None
    monkeypatch.delenv(SWITCH)
    (tmp_path / "a folder" / "spark" / "conf").mkdir()
    assert archive_name(jars) is None
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    assert archive_name(jars) is not None
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert archive_name(jars) is None


def test_an_archive_that_others_may_write_or_that_was_cut_off_is_not_used(jars: str):
    archive = made(jars)
    assert find_archive(jars) == archive
    for mode in (0o664, 0o646):
        archive.chmod(mode)
        assert find_archive(jars) is None
    archive.chmod(0o600)
    archive.parent.chmod(0o777)
    assert find_archive(jars) is None
    archive.parent.chmod(0o700)
    archive.write_text("class")
    assert find_archive(jars) is None
    archive.unlink()
    assert find_archive(jars) is None
    other = archive.with_name("other")
    other.write_text("classes")
    archive.symlink_to(other)
    assert find_archive(jars) is None


def test_the_maker_says_in_one_sentence_why_it_makes_none(
    jars: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a folder" / "cache").touch()  # no folder can be made there
    with pytest.raises(SystemExit, match=r"^class archive not made: .* cannot be written to .*$"):
        make_class_archive.main()
    (tmp_path / "a folder" / "cache").unlink()
    monkeypatch.setattr(make_class_archive, "_ROOM", 2**60)
    with pytest.raises(UserError, match=r"MiB are free in .*classes, 1099511627776 are needed"):
        make_class_archive.make()
    monkeypatch.setenv(SWITCH, "off")
    with pytest.raises(UserError, match=f"{SWITCH} is off"):
        make_class_archive.make()


def test_an_archive_that_is_there_is_not_made_again(jars: str):
    archive = made(jars)
    assert make_class_archive.make() == f"{archive} is there"
    assert archive.read_text() == "classes"


def test_a_new_archive_replaces_older_ones_of_its_place_only(jars: str):
    archive = made(jars)
    name = archive_name(jars)
    assert name is not None
    place = name.name.rpartition("-")[0]
    for other, age in (
        (f"{place}-0-1.jsa", -9),
        (f"{place}-0-2.jsa", 9),
        ("classes-0-0-3.jsa", -9),
    ):
        (archive.parent / other).touch()
        now = archive.stat().st_mtime
        os.utime(archive.parent / other, (now + age, now + age))
    make_class_archive.remove_older(archive, of_same_place(name))
    left = {file.name for file in archive.parent.iterdir()}
    assert left == {archive.name, f"{place}-0-2.jsa", "classes-0-0-3.jsa"}
