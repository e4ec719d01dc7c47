"""Which model measured an indicator when a rule was fitted, and whether another one is the same."""

from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict


class FittedModel(BaseModel):
    """The model that measured an indicator when its coefficient was fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = ()  # names of one and the same model; empty: not known
    fingerprint: str | None = None  # of a rule fitted by us; then it alone decides
    note: str = ""

    def is_that(self, fingerprint: str | None, source: str) -> bool:
        """Whether a model of this fingerprint and name is the same one."""
        if self.fingerprint is not None:
            return fingerprint == self.fingerprint
        return _short(source) in {_short(known) for known in self.sources}


def _short(source: str) -> str:
    """A hub id or folder without its parents; a URI as it stands."""
    return source if ":" in source else PurePosixPath(source).name
