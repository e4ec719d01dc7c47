"""Where the files that ship with the package lie: rules, model lists, weights, sample data."""

import atexit
import importlib.resources
import shutil
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from zipimport import zipimporter

import conf


@cache
def conf_folder() -> Path:
    """The folder `conf`; unpacked once per process where we run from a zip (`--py-files`).

    Readers of weights need real files, and models travel to the executors as a folder.
    """
    folder = importlib.resources.files(conf)
    if isinstance(folder, Path):
        return folder
    unpacked = Path(tempfile.mkdtemp(prefix="instructmining-"))
    atexit.register(shutil.rmtree, unpacked, ignore_errors=True)
    assert isinstance(conf.__loader__, zipimporter)  # noqa: S101 - no other loader is supported
    with zipfile.ZipFile(conf.__loader__.archive) as archive:
        archive.extractall(unpacked, [n for n in archive.namelist() if n.startswith("conf/")])
    return unpacked / "conf"


def data_named(name: str) -> str:
    """What a name of the input means: `sample` the sample that ships, unless there is such a file.

    Everything else means itself.
    """
    is_sample = name == "sample" and not Path(name).exists()
    return str(conf_folder() / "sample") if is_sample else name
