"""Paths between Spark, which encodes and globs them, and people, who write them as they are."""

import os
import re
from pathlib import Path

from pyspark.sql import Column
from pyspark.sql import functions as F

# A local `.crc` file that was left behind by an older version of a file must not hide the new one.
LOCAL_AS_IT_IS = {
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",
}


def escaped(path: str) -> str:
    """A path for Spark's readers, its `[`, `*`, `{` and so on taken as they stand."""
    return re.sub(r"([\\\[\]{}*?,])", r"\\\1", path)


def has_glob(path: str) -> bool:
    """Whether Spark would read the path as a pattern."""
    return re.search(r"[\[{*?]", path) is not None


def fixed_part(path: str) -> str:
    """What stands before the first folder or name that is a pattern."""
    match = re.search(r"[^/]*[\[{*?]", path)
    return path[: match.start()] if match else path


def shown(path: str) -> str:
    """A local file's plain path instead of its URI; anything else as it is.

    `..` and doubled slashes go without a look at the disk, as Hadoop's paths do it: two names of
    one place are the same text.
    """
    local = re.sub("^file:/+", "/", path)
    return os.path.normpath(local) if local.startswith("/") else local


def plain(encoded: Column) -> Column:
    """`_metadata.file_path` as `shown` would give it: decoded, and local files without a scheme."""
    path = F.regexp_replace(encoded, "^file:/+", "/")
    # url_decode would read a plus sign as a blank.
    return F.url_decode(F.replace(path, F.lit("+"), F.lit("%2B")))


def absolute(path: str) -> str:
    """A local path made absolute; a URI as it is."""
    return path if is_uri(path) else str(Path(path).expanduser().absolute())


def is_uri(path: str) -> bool:
    """Whether the path says itself on which file system it is."""
    return "://" in path or path.startswith(("dbfs:", "file:"))
