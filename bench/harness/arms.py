"""Arms timed side by side, on one thread, and compared only where they give the same answer.

A suite is a function `suite(repeats: int) -> Suite`; `python -m bench.run` finds it by the name of
its module. It loads models and rows first, so that an arm is a plain callable that only measures:

    Suite(
        name="knn", about="10,000 x 384",       # what the table is called
        arms={"plain": plain, "ours": ours},    # name -> callable() -> answer
        reference="plain",                      # the arm whose answer is the truth
        same=close,                             # (answer, reference answer) -> why not, or None
        flop=2 * n * n * d,                     # of real work: no padding, nothing twice
        gates=[Gate("ours", "plain", 1.6),      # median of plain's time / ours' time >= 1.6
               Gate("ours", LIMIT, 0.2)],       # FLOP / measured GEMM peak / time >= 0.2
        repeats=repeats,
    )

`dtypes` names the precision whose GEMM peak bounds an arm (float32 where it says nothing) and
`checks` a looser `same` for single arms. `figures` are numbers without a clock (bytes, counts),
bounded from above by `at_most`, from below by `at_least`. Arms in `once`, which take many times as
long as the others, run in the first repeat only. The clock is CPU seconds of this process,
because the machine may be busy with other work; libraries with threads of their own are held to
one by the suite. With a CUDA `device` it is the clock on the wall, and a gate may be against SHEET,
the peak that the data sheet promises (`sheet`, GFLOP/s).
"""

import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from udfs.running.device import _cpu_flags, limit_threads

Same = Callable[[Any, Any], str | None]
LIMIT, SHEET = "the limit", "the data sheet"
_SEED = 0
_GEMM = {"cpu": 1024, "cuda": 8192}


class Gate(NamedTuple):
    """`arm` must be `ratio` times as fast as `against`, or reach that share of LIMIT or SHEET.

    `units` names the instructions of a CPU without which the ratio is out of reach.
    """

    arm: str
    against: str
    ratio: float
    units: str = ""


@dataclass(frozen=True)
class Suite:
    """What is timed; see the module."""

    name: str
    about: str
    arms: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    reference: str = ""
    same: Same = lambda answer, reference: None
    flop: float = 0.0
    gates: Sequence[Gate] = ()
    repeats: int = 5
    dtypes: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, Same] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    once: frozenset[str] = frozenset()
    device: str = "cpu"
    sheet: float = 0.0


class Spread(NamedTuple):
    """The spread over the repeats."""

    least: float
    median: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}–{self.most:.2f})"


class Verdict(NamedTuple):
    """A gate after the run.

    Attributes:
        gate: its name.
        figure: what was measured; None where there is no time to judge by.
        wanted: the bound.
        ok: whether it holds; True where it is not judged.
        judged: False where the machine has no units for the arm's numbers, or not the gate's.
    """

    gate: str
    figure: float | None
    wanted: float
    ok: bool
    judged: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a suite; arms in `wrong` have no times.

    Attributes:
        suite: what was run.
        cpu: per arm CPU seconds of every repeat.
        wall: per arm wall seconds of every repeat.
        peaks: per dtype GFLOP/s of the matrix product, measured in every repeat.
        wrong: per arm how its answer differs from the reference's.
        emulated: dtypes that the machine has no units for; gates on arms in these are not judged.
        units: those for bfloat16 that its CPU has.
    """

    suite: Suite
    cpu: dict[str, list[float]]
    wall: dict[str, list[float]]
    peaks: dict[str, list[float]]
    wrong: dict[str, str]
    emulated: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()

    @property
    def times(self) -> dict[str, list[float]]:
        """Per arm what is compared: the CPU's seconds, or those on the wall with a GPU."""
        return self.cpu if self.suite.device == "cpu" else self.wall

    def faster(self, arm: str, than: str) -> Spread:
        """How many times as fast `arm` is as `than`: ratios inside one repeat that has both."""
        return spread([b / a for a, b in zip(self.times[arm], self.times[than], strict=False)])

    def of_limit(self, arm: str) -> Spread:
        """Share of the peak that the real work of the suite needs."""
        peaks = self.peaks[self.suite.dtypes.get(arm, "float32")]
        work = self.suite.flop / 1e9
        return spread([work / p / t for p, t in zip(peaks, self.times[arm], strict=False)])

    def of_sheet(self, arm: str) -> Spread:
        """Share of the data sheet's peak that the real work of the suite needs."""
        return spread([self.suite.flop / 1e9 / self.suite.sheet / t for t in self.times[arm]])

    def verdicts(self) -> list[Verdict]:
        """Every gate; a ratio must also be above 1 in its worst repeat if 1 is asked at all."""
        judged = [self._judge(gate) for gate in self.suite.gates]
        for name, bound in self.suite.at_most.items():
            figure = self.suite.figures[name]
            judged.append(Verdict(f"{self.suite.name}: {name}", figure, bound, figure <= bound))
        for name, bound in self.suite.at_least.items():
            figure = self.suite.figures[name]
            judged.append(Verdict(f"{self.suite.name}: {name}", figure, bound, figure >= bound))
        return judged

    def _judge(self, gate: Gate) -> Verdict:
        name = f"{self.suite.name}: {gate.arm} against {gate.against}"
        if {gate.arm, gate.against} & self.wrong.keys():
            return Verdict(name, None, gate.ratio, False)
        shares = {LIMIT: self.of_limit, SHEET: self.of_sheet}
        share = shares.get(gate.against)
        speed = share(gate.arm) if share else self.faster(gate.arm, gate.against)
        steady = share is not None or gate.ratio < 1 or speed.least > 1
        without = gate.units and gate.units not in self.units
        dtypes = {self.suite.dtypes.get(arm) for arm in (gate.arm, gate.against)}
        if without or dtypes & self.emulated:
            return Verdict(name, speed.median, gate.ratio, True, judged=False)
        return Verdict(name, speed.median, gate.ratio, speed.median >= gate.ratio and steady)


def run(suite: Suite) -> Outcome:
    """Every arm once per repeat, in a new random order each time."""
    limit_threads(1 if suite.device == "cpu" else os.cpu_count() or 1)  # who feeds the GPU
    cpu: dict[str, list[float]] = {arm: [] for arm in suite.arms}
    wall: dict[str, list[float]] = {arm: [] for arm in suite.arms}
    dtypes = {"float32", *suite.dtypes.values()} if suite.arms else set()
    peaks: dict[str, list[float]] = {dtype: [] for dtype in sorted(dtypes)}
    wrong: dict[str, str] = {}
    order, draw = list(suite.arms), random.Random(_SEED)  # noqa: S311 an order, no secret
    for repeat in range(suite.repeats if order else 0):
        for dtype, measured in peaks.items():
            measured.append(gemm_peak(dtype, device=suite.device))
        answers = {}
        draw.shuffle(order)
        for arm in (arm for arm in order if not repeat or arm not in suite.once):
            started = time.perf_counter()
            busy = time.process_time()
            answers[arm] = suite.arms[arm]()
            cpu[arm].append(time.process_time() - busy)
            wall[arm].append(time.perf_counter() - started)
        wrong |= _differing(suite, answers)
    for arm in wrong:
        del cpu[arm], wall[arm]
    units = frozenset(machine()["bf16 units"])
    return Outcome(suite, cpu, wall, peaks, wrong, emulated(suite.device), units)


def emulated(device: str) -> frozenset[str]:
    """The dtypes that a device computes in software."""
    units = bool(machine()["bf16 units"]) if device == "cpu" else True
    return frozenset() if units else frozenset({"bfloat16"})


def _differing(suite: Suite, answers: dict[str, Any]) -> dict[str, str]:
    checked = {
        arm: suite.checks.get(arm, suite.same)(answer, answers[suite.reference])
        for arm, answer in answers.items()
    }
    return {arm: why for arm, why in checked.items() if why}


def gemm_peak(dtype: str, tries: int = 6, device: str = "cpu") -> float:
    """GFLOP/s of the best square matrix product of this dtype, by CPU seconds or a GPU's clock."""
    kind = device.partition(":")[0]
    size = _GEMM[kind]
    clock = time.process_time if kind == "cpu" else _cuda_clock
    a, b = (torch.randn(size, size, device=device).to(getattr(torch, dtype)) for _ in range(2))
    best = float("inf")
    for _ in range(tries):
        busy = clock()
        torch.mm(a, b)
        best = min(best, clock() - busy)
    return 2 * size**3 / best / 1e9


def _cuda_clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def spread(values: Sequence[float]) -> Spread:
    """Least, median and most of at least one value."""
    return Spread(min(values), statistics.median(values), max(values))


def machine() -> dict[str, Any]:
    """What the times depend on."""
    flags = _cpu_flags()
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "bf16 units": [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
