"""The archive of classes that a local session's JVM maps instead of reading them from jars.

`python -m instructmining.spark.make_class_archive` makes it. `docs/decisions/0058-*.md` has the
figures.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from instructmining.spark.delta_jars import jar_cache
from instructmining.spark.local_settings import JAVA_OPTIONS

SWITCH = "INSTRUCTMINING_CLASS_ARCHIVE"  # `off`: neither used nor made
CLASS_PATH = "spark.driver.extraClassPath"
OPTIONS = "spark.driver.extraJavaOptions"
JARS = "spark.jars"
# With one of these the class path is another one, or has a folder, which no archive can have.
_ANOTHER_PATH = (
    "HADOOP_CONF_DIR",
    "PYSPARK_SUBMIT_ARGS",
    "SPARK_CONF_DIR",
    "SPARK_DIST_CLASSPATH",
    "YARN_CONF_DIR",
)


def with_class_archive(settings: Mapping[str, str], delta: Mapping[str, str]) -> dict[str, str]:
    """Spark's settings for a local session, with the archive where there is one that fits.

    Args:
        settings: all of them.
        delta: those of them that name Delta's jars.

    Returns:
        The same settings where there is no archive, or where an operator has Java options, jars or
        a class path of their own.
    """
    jars = delta.get(JARS)
    is_ours = settings.get(JARS) == jars and settings.get(OPTIONS) == JAVA_OPTIONS
    if jars is None or not is_ours or CLASS_PATH in settings:
        return dict(settings)
    archive = find_archive(jars)
    if archive is None:
        return dict(settings)
    changed = {
        CLASS_PATH: class_path(jars),
        OPTIONS: f"{JAVA_OPTIONS} -Xshare:auto {quoted(f'-XX:SharedArchiveFile={archive}')}",
    }
    return {key: value for key, value in settings.items() if key != JARS} | changed


def find_archive(jars: str) -> Path | None:
    """The archive for this Java, this Spark and these jars, if there is one that may be used.

    Args:
        jars: Delta's, with commas between them; empty where they are not here yet.
    """
    name = archive_name(jars)
    if name is None:
        return None
    return next(filter(_is_safe, name.parent.glob(f"{name.name}-*.jsa")), None)


def archive_name(jars: str) -> Path | None:
    """Where the archive for these jars is, made or not, without the size that ends its name.

    The JVM itself refuses an archive of another Java or of other jars. The name only saves it the
    trouble, and says which archive takes the place of which.

    Returns:
        None where there can be none: it is switched off, or the class path is not ours alone.
    """
    if not jars or ":" in jars:
        return None
    if os.environ.get(SWITCH) == "off" or any(os.environ.get(name) for name in _ANOTHER_PATH):
        return None
    home, modules = _spark_home(), _java_modules()
    if modules is None or (home / "conf").exists():
        return None
    files = [modules, *map(Path, jars.split(",")), *sorted((home / "jars").glob("*.jar"))]
    with suppress(OSError):  # one that is gone meanwhile
        name = f"classes-{_hash([str(home)])}-{_hash(map(_state, files), JAVA_OPTIONS)}"
        return jar_cache() / "classes" / name
    return None


def of_same_place(name: Path) -> str:
    """The pattern of archives of this Spark's folder: this one takes the place of all others."""
    return name.name.rpartition("-")[0] + "-*.jsa"


def _is_safe(archive: Path) -> bool:
    """Whether it is whole, which a JVM does not look at, and nobody but its user wrote it."""
    with suppress(OSError):
        file, folder = archive.lstat(), archive.parent.stat()
        return (
            stat.S_ISREG(file.st_mode)
            and archive.stem.endswith(f"-{file.st_size}")
            and all(_is_of_user(place) for place in (file, folder))
        )
    return False


def _is_of_user(status: os.stat_result) -> bool:
    return status.st_uid in (0, os.getuid()) and not status.st_mode & 0o022


def class_path(jars: str) -> str:
    """Spark's list of jars as Java writes it."""
    return jars.replace(",", os.pathsep)


def quoted(option: str) -> str:
    """One Java option, as Spark reads a line of them: a path may have blanks."""
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _spark_home() -> Path:
    """The folder of the Spark whose program pyspark starts."""
    import pyspark

    return Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent).absolute()


def _java_modules() -> Path | None:
    """The file with the classes of the Java that Spark starts."""
    named = os.environ.get("JAVA_HOME")
    program = Path(named, "bin", "java") if named else shutil.which("java")
    if program is None:
        return None
    modules = Path(program).resolve().parents[1] / "lib" / "modules"
    return modules if modules.is_file() else None


def _state(file: Path) -> str:
    status = file.stat()
    return f"{file}\t{status.st_size}\t{status.st_mtime_ns}"


def _hash(parts: Iterable[str], *more: str) -> str:
    return hashlib.sha256("\n".join([*parts, *more]).encode()).hexdigest()[:16]
