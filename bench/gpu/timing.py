"""Arms of a suite timed on windows that they have not seen, the first of which is not counted."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bench.harness.arms import LIMIT, SHEET, Gate, Verdict, gemm_peak

RATE = "per second"  # what a gate may ask for: tokens, or rows, in a second
SHEET_GFLOPS = 989_000.0  # bfloat16 without sparsity, of an H100 or H200


@dataclass(frozen=True)
class Arm:
    """One way to do a suite's work.

    Attributes:
        answers: of windows, in order; may prepare one while it computes another, as a job does.
        share: of a window's rows that it does, where it is slow.
    """

    answers: Callable[[Sequence[Any]], Iterator[Any]]
    share: float = 1.0


def each(run: Callable[[Any], Any], share: float = 1.0) -> Arm:
    """An arm that does one window after another."""
    return Arm(lambda windows: map(run, windows), share)


@dataclass(frozen=True)
class GpuSuite:
    """What is timed.

    Attributes:
        name: of the suite.
        about: what it does, in words.
        arms: by name.
        windows: one more than there are repeats; the first warms up.
        tokens: of a window.
        flop: of a window's real work.
        reference: the arm that answers are compared with.
        same: (answer, reference answer) to why they differ, or None.
        gates: what must be reached.
        figures: further numbers by name, after the arms have run.
    """

    name: str
    about: str
    arms: Mapping[str, Arm]
    windows: Sequence[Any]
    tokens: Callable[[Any], int]
    flop: Callable[[Any], float]
    reference: str
    same: Callable[[Any, Any], str | None]
    gates: Sequence[Gate] = ()
    figures: Callable[[], Mapping[str, float]] = dict


@dataclass(frozen=True)
class Speed:
    """Of one arm: medians over the windows but the first, and what the first took.

    Attributes:
        tokens: per second.
        gflops: per second.
        first: seconds of the first window, in which the arm loads, warms up and compiles.
        wrong: why its answers are not the reference's.
    """

    tokens: float
    gflops: float
    first: float
    wrong: str | None

    def against(self, other: "Speed") -> float:
        """How many times as fast."""
        return self.gflops / other.gflops


def measure(suite: GpuSuite, device: str) -> dict[str, Speed]:
    """Every arm on every window, one arm after another, as a process holds one model."""
    seconds: dict[str, list[float]] = {}
    answers: dict[str, list[Any]] = {}
    for name, arm in suite.arms.items():
        seconds[name], answers[name] = [], []
        parts = [part_of(window, arm.share) for window in suite.windows]
        _wait(device)
        started = time.perf_counter()
        for answer in arm.answers(parts):
            _wait(device)
            answers[name].append(answer)
            seconds[name].append(time.perf_counter() - started)
            started = time.perf_counter()
    return {
        name: _speed(suite, arm, seconds[name], _wrong(suite, answers, name))
        for name, arm in suite.arms.items()
    }


def _wrong(suite: GpuSuite, answers: Mapping[str, list[Any]], name: str) -> str | None:
    """Why an arm's answers are not the reference's, in the rows that both answered."""
    for answer, reference in zip(answers[name], answers[suite.reference], strict=True):
        both = min(len(answer), len(reference))
        if why := suite.same(answer[:both], reference[:both]):
            return why
    return None


def part_of(window: Any, share: float) -> Any:
    """The first rows of a window."""
    return window if share == 1 else window[: max(1, int(share * len(window)))]


def _speed(suite: GpuSuite, arm: Arm, seconds: list[float], wrong: str | None) -> Speed:
    first, *later = seconds
    parts = [part_of(window, arm.share) for window in suite.windows[1:]]
    tokens = [suite.tokens(part) / s for part, s in zip(parts, later, strict=True)]
    gflops = [suite.flop(part) / 1e9 / s for part, s in zip(parts, later, strict=True)]
    return Speed(statistics.median(tokens), statistics.median(gflops), first, wrong)


def show(
    suite: GpuSuite, speeds: Mapping[str, Speed], device: str, console: Console
) -> list[Verdict]:
    """Print the suite's table and figures, and judge its gates."""
    peak = gemm_peak("bfloat16", device=device)
    table = Table(title=f"{suite.name}: {suite.about}", title_justify="left")
    first = next(iter(suite.arms))
    columns = (
        "tokens/s",
        "TFLOP/s",
        "of GEMM",
        "of data sheet",
        f"against {first}",
        "first window s",
        "",
    )
    table.add_column("arm")
    for column in columns:
        table.add_column(column, justify="right")
    for name, speed in speeds.items():
        table.add_row(
            name,
            f"{speed.tokens:,.0f}",
            f"{speed.gflops / 1e3:.3g}",
            f"{speed.gflops / peak:.2f}",
            f"{speed.gflops / SHEET_GFLOPS:.2f}",
            f"{speed.against(speeds[first]):.2f}",
            f"{speed.first:.1f}",
            speed.wrong or "",
        )
    console.print(table)
    for name, value in suite.figures().items():
        console.print(f"  {name}: {value:,.3f}")
    console.print(f"  GEMM in bfloat16: {peak / 1e3:.3g} TFLOP/s")
    return [_judged(suite, gate, speeds, peak) for gate in suite.gates]


def _judged(suite: GpuSuite, gate: Gate, speeds: Mapping[str, Speed], peak: float) -> Verdict:
    speed = speeds[gate.arm]
    limits = {LIMIT: peak, SHEET: SHEET_GFLOPS}
    if gate.against == RATE:
        figure = speed.tokens
    elif gate.against in limits:
        figure = speed.gflops / limits[gate.against]
    else:
        figure = speed.against(speeds[gate.against])
    right = speed.wrong is None
    name = f"{suite.name}: {gate.arm} against {gate.against}"
    return Verdict(name, figure if right else None, gate.ratio, right and figure >= gate.ratio)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
