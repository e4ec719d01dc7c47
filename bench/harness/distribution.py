"""What a user gets: the built wheel, and the same bytes as the zip of `spark-submit --py-files`."""

import shutil
import subprocess
import sys
from pathlib import Path

from bench.harness.rows import ROOT

PACKAGES = ("instructmining", "udfs", "jobs", "conf")


def build(folder: Path) -> tuple[Path, Path]:
    """Build from a copy of the tree, so that nothing is left in it; the wheel and the zip."""
    source = folder / "source"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    uv = (sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(folder))
    done = subprocess.run(uv, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the wheel was not built:\n{done.stdout}{done.stderr}")
    [wheel] = folder.glob("instructmining-*.whl")
    return wheel, Path(shutil.copy(wheel, folder / "instructmining.zip"))
