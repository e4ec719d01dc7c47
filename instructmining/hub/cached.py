"""`hf:owner/name@revision/config:split` as files: the library downloads, we read what it wrote.

`datasets` prepares a data set as Arrow files in its cache, one batch at a time, and finds them
there when there is no network (`HF_HUB_OFFLINE=1`). No row goes through our memory.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instructmining.errors import UserError

PREFIX = "hf:"
_WORD = r"[\w.-]+"
_NAME = re.compile(
    rf"hf:(?P<repository>{_WORD}/{_WORD})(?:@(?P<revision>{_WORD}))?"
    rf"(?:/(?P<config>[^/:@]+))?(?::(?P<split>{_WORD}))?"
)
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True)
class HubName:
    """What a name such as `hf:owner/name@revision/config:split` says; None where it says nothing.

    Attributes:
        repository: `owner/name`.
        revision: a commit, tag or branch.
        config: one of several data sets in the repository.
        split: such as `train`; without it all splits are meant.
    """

    repository: str
    revision: str | None = None
    config: str | None = None
    split: str | None = None

    def of_split(self, split: str) -> str:
        """The name of a split as rows carry it: the same for every revision and machine."""
        config = f"/{self.config}" if self.config else ""
        return f"{PREFIX}{self.repository}{config}:{split}"


@dataclass(frozen=True)
class HubFile:
    """One Arrow file of a split.

    Attributes:
        path: in the cache of `datasets`.
        source: what its rows are known by, such as `hf:owner/name:train`; of several files
            of a split the second is `hf:owner/name:train#2`.
    """

    path: Path
    source: str


def is_hub_name(name: str) -> bool:
    """Whether a name of the input means a data set of the hub."""
    return name.startswith(PREFIX)


def hub_name(name: str) -> HubName:
    """The parts of a name.

    Raises:
        UserError: it is not of the form.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(
            f"--input {name}: write hf:owner/name, and if you like @revision, /config and :split "
            "after it, in this order; a share of a split cannot be named"
        )
    return HubName(**match.groupdict())


def hub_files(name: str) -> list[HubFile]:
    """The files of a data set, downloaded where the cache does not have them yet.

    Raises:
        UserError: the library is not installed, the hub does not answer and the cache has no
            copy, or there is no such data set, revision, config or split.
    """
    wanted = hub_name(name)
    splits = _loaded(name, wanted)
    files = []
    for split, data in splits.items():
        paths = [Path(file["filename"]) for file in data.cache_files]
        _refuse_other_revision(name, wanted, paths)
        source = wanted.of_split(split)
        for number, path in enumerate(paths, start=1):
            files.append(HubFile(path, source if number == 1 else f"{source}#{number}"))
    return files


def _loaded(name: str, wanted: HubName) -> dict[str, Any]:
    """Split to data set; each is a view of files, none is in memory."""
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"--input {name} needs the package datasets: pip install 'instructmining[hub]'"
        ) from None
    quiet = not datasets.are_progress_bars_disabled()
    if quiet:
        datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(
            wanted.repository, wanted.config, split=wanted.split, revision=wanted.revision
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"--input {name}: {_sentence(error)}") from None
    finally:
        if quiet:
            datasets.enable_progress_bars()
    return {str(loaded.split): loaded} if isinstance(loaded, datasets.Dataset) else dict(loaded)


def _sentence(error: Exception) -> str:
    """What the library says, on one line, with the remedy where no hub answers."""
    said = " ".join(str(error).split())[:300].rstrip(".")
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return (
            f"the hub cannot be reached and the cache has no copy ({said}); run it once where "
            "there is a network, with HF_HOME on a disk that this machine sees, or name files"
        )
    return said


def _refuse_other_revision(name: str, wanted: HubName, paths: list[Path]) -> None:
    """Without a network the library takes the latest copy, whatever revision was asked for."""
    revision = wanted.revision
    if revision is None or not _COMMIT.fullmatch(revision):
        return
    commits = {path.parent.name for path in paths}
    if not all(commit.startswith(revision) for commit in commits):
        raise UserError(
            f"--input {name}: the cache holds revision {', '.join(sorted(commits))} only; run it "
            "where the hub can be reached, or leave out the revision"
        )
