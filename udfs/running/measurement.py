"""What every scorer takes and returns; plain Python and NumPy, no Spark and no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from instructmining.settings.endpoints import Endpoint

# {"role", "content"}; roles are system, user, assistant, tool, and assistant_context: a turn of the
# assistant that is not to be learnt, which is read but is never the response.
Message = dict[str, str]
Conversation = Sequence[Message]

# How the reason of a call that broke begins; a value that is undefined by rule (a response too
# short for MTLD, say) has a reason without it. Only the former counts as a failed row.
FAILED = "failed: "
# The reason of a row that a cap of calls left out: it is not stored, so that the next run asks it.
NOT_ASKED = "a cap of the settings `endpoint` is reached"


class Work(NamedTuple):
    """What it took to measure: tokens of the sequences, with their padding, and calls."""

    wanted: int = 0
    computed: int = 0
    batches: int = 0
    retries: int = 0  # calls after a failure: half the budget, or single rows
    asked: int = 0  # calls of a server, retries among them
    billed: int = 0  # tokens that the server counted


@dataclass
class Measurement:
    """What one model stage measured on n conversations, in the order they came.

    Attributes:
        values: indicator name to float64[n]; NaN where it could not be measured.
        tokens: int64[n], tokens of the text the model was asked to read, before any cut.
        truncated_tokens: int64[n], how many of these were cut away.
        reasons: per row why a value is NaN, else None. Never a made-up number in its place.
        vectors: float32[n, d] of a sentence encoder, unit length; None for other stages.
        work: what the batches took.
    """

    values: dict[str, NDArray[np.float64]]
    tokens: NDArray[np.int64]
    truncated_tokens: NDArray[np.int64]
    reasons: list[str | None]
    vectors: NDArray[np.float32] | None = field(default=None)
    work: Work = field(default=Work())

    @classmethod
    def empty(cls, indicators: Sequence[str], n: int) -> "Measurement":
        """All NaN, for a scorer to fill in place."""
        return cls(
            values={name: np.full(n, np.nan) for name in indicators},
            tokens=np.zeros(n, dtype=np.int64),
            truncated_tokens=np.zeros(n, dtype=np.int64),
            reasons=[None] * n,
        )

    def explained(self) -> "Measurement":
        """Turn infinite values into NaN and give a reason to every NaN that has none yet."""
        for values in self.values.values():
            values[~np.isfinite(values)] = np.nan
        columns = [*self.values.values(), *([] if self.vectors is None else [self.vectors.sum(1)])]
        for row in np.flatnonzero(~np.isfinite(np.array(columns)).all(axis=0)):
            self.reasons[row] = self.reasons[row] or f"{FAILED}the model gave no finite number"
        return self


@dataclass(frozen=True)
class Runtime:
    """What a scorer is given to run with; kinds without weights need none of it.

    Attributes:
        folder: the files of the model; empty for kinds without weights.
        base: the files of the model that it builds on, or None.
        device: of `udfs.running.device.choose_device`.
        dtype: `bfloat16` or `float32`, of the weights.
        token_budget: upper limit of rows x longest in a batch.
        packed: put rows one after another where the model can, see `udfs.running.packing`.
        compiled: compile the model, see `udfs.running.compiling`.
        endpoint: how a server is called, and what may be spent there.
    """

    folder: str = ""
    base: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    token_budget: int = 4096
    packed: bool = False
    compiled: bool = False
    endpoint: Endpoint = field(default_factory=Endpoint)


class Scorer(Protocol):
    """One model stage on plain arrays."""

    indicators: tuple[str, ...]

    def measure(self, conversations: Sequence[Conversation]) -> Measurement:
        """Measure every conversation; one bad row never costs the others their values."""
        ...


class TwoSteps:
    """A scorer that reads its texts on the host and computes on a device, see `prefetch`."""

    device: str

    def prepare(self, conversations: Sequence[Conversation]) -> Any:
        """What `compute` needs: texts rendered, tokenised and cut; safe beside a `compute`."""
        raise NotImplementedError

    def compute(self, prepared: Any) -> Measurement:
        """Measure what `prepare` gave."""
        raise NotImplementedError

    def measure(self, conversations: Sequence[Conversation]) -> Measurement:
        """Measure every conversation; one bad row never costs the others their values."""
        return self.compute(self.prepare(conversations))
