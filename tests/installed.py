"""A Python without this checkout, and commands that are run in it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
