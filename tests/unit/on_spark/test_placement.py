"""How many tasks with a model one machine runs at a time, and what is left behind."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from instructmining.settings.sections import Measure
from udfs.on_spark import placement

GIB = 1024**3


def session(master: str, cores: int) -> SimpleNamespace:
    """What is asked of a session."""
    conf = SimpleNamespace(get=lambda key, _: {"spark.master": master}[key])
    return SimpleNamespace(sparkContext=SimpleNamespace(defaultParallelism=cores), conf=conf)


@pytest.mark.parametrize(
    ("master", "cores", "gib", "wanted"),
    [
        ("local[*]", 16, 128, 16),
        ("local[*]", 16, 16, 5),
        ("local[*]", 2, 2, 1),
        ("spark://host:7077", 64, 16, 64),
    ],
)
def test_a_machine_uses_its_cores_as_far_as_its_memory_goes(
    master, cores, gib, wanted, monkeypatch
):
    monkeypatch.setattr(placement, "machine_memory", lambda: gib * GIB)
    slots = placement.model_slots(session(master, cores), Measure(device="cpu"))
    assert slots == wanted


def test_a_model_travels_uncompressed_with_all_that_is_in_its_folder(tmp_path):
    model = tmp_path / "a model"
    (model / "tokenizer").mkdir(parents=True)
    (model / "weights").write_bytes(bytes(10_000))
    os.utime(model / "weights", (0, 0))  # 1970, which a zip cannot say
    (tmp_path / "blob").write_text("слова")
    (model / "tokenizer" / "words").symlink_to(tmp_path / "blob")  # as in a cache of the hub
    archive = placement.packed(model, tmp_path / "model.zip")
    assert archive.stat().st_size > 10_000
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "arrived")
    assert (tmp_path / "arrived" / "weights").read_bytes() == bytes(10_000)
    assert (tmp_path / "arrived" / "tokenizer" / "words").read_text() == "слова"


def test_what_was_sent_to_executors_goes_when_the_program_ends():
    code = """from udfs.on_spark.placement import outgoing
f = outgoing()
(f / 'm.zip').touch()
print(f)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()
