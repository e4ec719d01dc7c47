"""What a run needs of this machine, looked at in seconds and without a Spark session."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from instructmining.errors import UserError
from instructmining.models.lists import IMPORTED, ModelSpec, locate
from instructmining.models.weight_files import check_weights
from instructmining.spark.class_archive import JARS, archive_name, find_archive
from instructmining.spark.delta_jars import delta_jars
from udfs.indicators import load_model_list
from udfs.on_spark.placement import machine_memory

_GIB = 2**30
_MEMORY = 6 * _GIB  # Spark's driver with 3 GiB, and two Python workers with the embedded models
_DISK = 5 * _GIB
_JAVA = (17, 21)
_SECONDS = 3.0  # for a server's answer


class Check(NamedTuple):
    """One line: what was looked at, what is there, and the remedy where that is not enough."""

    name: str
    said: str
    remedy: str | None = None


def checks(store: str, tracking_uri: str, models: str) -> Iterator[Check]:
    """Everything that is looked at, one after the other.

    Args:
        store: the setting of that name.
        tracking_uri: the setting `tracking.uri`.
        models: name of the model list.
    """
    for look in (_python, _java, _spark, _delta, _class_archive, _gpu, _memory):
        yield look()
    yield _disk(store)
    yield _mlflow(tracking_uri)
    yield from _models(models)


def _python() -> Check:
    said = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    return Check("Python", said, "Python 3.11 or newer is needed" if old else None)


def _java() -> Check:
    home = os.environ.get("JAVA_HOME")
    program = f"{home}/bin/java" if home else "java"
    remedy = "install a JRE 17 or 21, or set JAVA_HOME to one"
    try:
        shown = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return Check("Java", f"{program} does not start", remedy)
    number = re.search(r'version "(\d+)', shown.stderr)
    if number is None:
        return Check("Java", f"{program} says no version", remedy)
    major = int(number[1])
    return Check("Java", f"{major} ({program})", None if major in _JAVA else remedy)


def _package(name: str, extra: str) -> Check:
    try:
        return Check(name, version(name))
    except PackageNotFoundError:
        return Check(name, "not installed", f"pip install 'instructmining[{extra}]'")


def _spark() -> Check:
    return _package("pyspark", "local")._replace(name="Spark")


def _delta() -> Check:
    try:
        named = delta_jars()
    except UserError as error:
        said, _, remedy = str(error).partition("; ")
        return Check("Delta", said, remedy or "pip install 'instructmining[local]'")
    if "spark.jars" in named:
        jars = named["spark.jars"].split(",")
        return Check("Delta", f"{len(jars)} jars in {Path(jars[0]).parent}")
    return Check(
        "Delta",
        "its jars are not here yet",
        "start a command once where there is a network, which fetches them, or put them into a "
        "folder that INSTRUCTMINING_JARS names",
    )


def _class_archive() -> Check:
    """It saves time and is never missing: no remedy."""
    with suppress(UserError):  # Delta's own line tells it
        jars = delta_jars().get(JARS, "")
        archive = find_archive(jars)
        if archive is not None:
            size = archive.stat().st_size / 1e6
            return Check("class archive", f"{size:.0f} MB in {archive.parent}")
        if archive_name(jars) is not None:
            make = "python -m instructmining.spark.make_class_archive"
            return Check("class archive", f"none; {make} makes local commands start faster")
    return Check("class archive", "not used here")


def _gpu() -> Check:
    package = _package("torch", "models")
    if package.remedy:
        return package
    import torch

    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Check("GPU", f"{len(cards)} × {cards[0]}, torch {package.said}")
    has_card = shutil.which("nvidia-smi") is not None
    remedy = "torch sees no GPU though a driver is installed: install a build of torch for CUDA"
    return Check("GPU", f"none, torch {package.said}", remedy if has_card else None)


def _memory() -> Check:
    size = machine_memory()
    remedy = f"{_MEMORY / _GIB:.0f} GiB are needed: SPARK_MASTER='local[1]' needs least"
    return Check("memory", f"{size / _GIB:.1f} GiB", remedy if size < _MEMORY else None)


def _disk(store: str) -> Check:
    is_local = "://" not in store
    places = [Path(tempfile.gettempdir()), *([_first_folder(store)] if is_local else [])]
    free = {place: shutil.disk_usage(place).free for place in places}
    place = min(free, key=lambda folder: free[folder])
    remedy = f"make room, or name another place: {_DISK / _GIB:.0f} GiB are little for a store"
    said = f"{free[place] / _GIB:.1f} GiB free in {place}"
    return Check("disk", said, remedy if free[place] < _DISK else None)


def _first_folder(name: str) -> Path:
    """The nearest folder that is there."""
    path = Path(name).expanduser().absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _mlflow(uri: str) -> Check:
    if uri == "none":
        return Check("MLflow", "not used")
    package = _package("mlflow", "tracking")
    if package.remedy:
        return package._replace(name="MLflow", remedy=f"{package.remedy}, or --tracking-uri none")
    parts = urlsplit(uri)
    place = parts.hostname if parts.scheme in ("http", "https") else uri
    said = f"{package.said}, {place}"
    if parts.scheme in ("http", "https"):
        return Check("MLflow", said, _unreached(parts.hostname or "", parts.port or 443))
    if parts.scheme == "sqlite":
        folder = _first_folder(uri.removeprefix("sqlite:///") or ".")
        writable = os.access(folder, os.W_OK)
        return Check("MLflow", said, None if writable else f"{folder} cannot be written to")
    return Check("MLflow", said)


def _unreached(host: str, port: int) -> str | None:
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError as error:
        return f"the server does not answer ({error}): start it, or name another --tracking-uri"
    return None


def _models(name: str) -> Iterator[Check]:
    """The weights of the model list; none is downloaded."""
    for stage, spec in load_model_list(name).stages.items():
        if spec.served is not None:
            asked = f"{spec.served.model} at {spec.source}, which is asked when it is needed"
            yield Check(f"{stage} model", asked)
            continue
        sources = () if spec.kind == IMPORTED else (spec.source, spec.base)
        for source in filter(None, sources):
            yield _weights(f"{stage} model", source, spec)


def _weights(name: str, source: str, spec: ModelSpec) -> Check:
    if source.startswith(("models:", "runs:", "mlflow-artifacts:")):
        return Check(name, f"{source}, which MLflow is asked for when it is needed")
    try:
        folder = locate(source, spec.revision, may_download=False)
        check_weights(folder)
    except UserError as error:
        return Check(name, f"{source} is not here", str(error))
    return Check(name, str(folder))


def page(checks: Iterable[Check]) -> tuple[str, bool]:
    """All lines as text, and whether everything is ready."""
    looked_at = list(checks)
    width = max(len(check.name) for check in looked_at)
    lines = []
    for check in looked_at:
        mark = "no" if check.remedy else "ok"
        lines.append(f"{mark}  {check.name:<{width}}  {check.said}")
        if check.remedy:
            lines.append(f"    {'':<{width}}  → {check.remedy}")
    missing = sum(check.remedy is not None for check in looked_at)
    lines.append("everything is ready" if not missing else f"{missing} of {len(looked_at)} to do")
    return "\n".join(lines), not missing
