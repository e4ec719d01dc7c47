"""What a user gets: the built wheel, its bytes as a zip, and a Python without this checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("instructmining", "udfs", "jobs", "conf")


def build(folder: Path) -> tuple[Path, Path]:
    """Build from a copy of the tree, so that nothing is left in it; the wheel and the zip."""
    source = folder / "source"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", folder, cwd=source)
    [wheel] = folder.glob("instructmining-*.whl")
    return wheel, Path(shutil.copy(wheel, folder / "instructmining.zip"))


def bare_python(folder: Path) -> Path:
    """A Python with this environment's libraries but not the project itself.

    The libraries come by a .pth file: it adds their folder to the path, and leaves out what that
    folder's own .pth files do, the editable install of this checkout among them.
    """
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, folder)
    [packages] = folder.glob("lib/python*/site-packages")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    return folder / "bin" / "python"


def run(*command: object, **options: object) -> str:
    """The output of a command; where it fails, its words are the failure's."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
