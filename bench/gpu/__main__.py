"""Run suites on a GPU, print them and judge their gates; exits 1 where one is missed.

    python -m bench.gpu                                  # all suites but three
    python -m bench.gpu --suites reward-neox,neighbors   # some of them
    python -m bench.gpu --compile                        # compiled finetunes too
    python -m bench.gpu --no-compile                     # nothing compiled
    python -m bench.gpu --tiny --device cpu              # small models, and no gates

Every window of rows is new, and the first of each arm, which loads and warms up, is not counted.
Models are compiled first, each in a process of its own beside the others, into one folder: what
`measure.compiled_code` does for the workers of a node.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console

from bench.gpu import finetunes, neighbors, scoring
from bench.gpu.shapes import LLAMA, NEOX, QWEN, Model, tiny
from bench.gpu.timing import GpuSuite, measure, show
from bench.harness.arms import Verdict, machine
from bench.harness.texts import records
from udfs.running.device import choose_device

# Suites that run only when they are named.
_ASKED_FOR = ("perplexity-neox", "float8-llama", "neighbors-10m")
_LIBRARIES = ("torch", "transformers", "peft", "sentence-transformers", "faiss-cpu", "numpy")


class Bench:
    """Makes the suites of one call, one at a time, in folders of its own."""

    def __init__(self, chosen: argparse.Namespace, folder: Path):
        self.chosen, self.folder = chosen, folder
        self.device = choose_device(chosen.device)
        code = str(folder / "compiled")
        scores = chosen.compile or (chosen.compile is None and chosen.device == "cuda")
        self.code = code if scores else None
        self.training_code = code if chosen.compile else None

    def suites(self) -> dict[str, Callable[[], GpuSuite]]:
        """By name."""
        return {
            "reward-neox": lambda: self._scored(NEOX, True, 0.60),
            "reward-qwen": lambda: self._scored(QWEN, True, 0.45),
            "reward-llama": lambda: self._scored(LLAMA, True, 0.65),
            "perplexity-neox": lambda: self._scored(NEOX, False, 0.60),
            "perplexity-qwen": lambda: self._scored(QWEN, False, 0.45),
            "perplexity-llama": lambda: self._scored(LLAMA, False, 0.65),
            "float8-llama": lambda: scoring.in_float8(
                self._sized(LLAMA),
                self.folder / "llama-True",
                self._windows(self.chosen.rows, self.chosen.rows // 4),
                self.device,
                self.code,
            ),
            "embedding": lambda: scoring.sentences(
                self._windows(self.chosen.rows, self.chosen.rows), self.device
            ),
            "finetune-full": lambda: self._finetuned("full", 0.35),
            "finetune-lora": lambda: self._finetuned("lora", 0.30),
            "neighbors": lambda: self._neighbors(200_000, 3.0),
            "neighbors-1m": lambda: self._neighbors(1_000_000, 12.0),
            "neighbors-10m": lambda: self._neighbors(10_000_000, 900.0, 40_960),
        }

    def compiles(self, name: str) -> bool:
        """Whether a suite's layers are compiled beforehand; `perplexity` has those of `reward`."""
        return name.startswith("reward") or (
            name.startswith("finetune") and self.training_code is not None
        )

    def _scored(self, model: Model, reward: bool, gate: float) -> GpuSuite:
        windows = self._windows(self.chosen.rows, self.chosen.rows // 4)
        place = self.folder / f"{model.family}-{reward}"
        return scoring.scored(
            self._sized(model), reward, place, windows, self.device, self.code, gate
        )

    def _finetuned(self, adapter: str, gate: float) -> GpuSuite:
        rows = max(64, self.chosen.rows // 8)
        windows = self._windows(rows, rows)
        place = self.folder / f"finetune-{adapter}"
        return finetunes.finetuned(
            self._sized(NEOX), adapter, place, windows, self.device, self.training_code, gate
        )

    def _neighbors(self, rows: int, seconds: float, asked: int | None = None) -> GpuSuite:
        rows = rows // 200 if self.chosen.tiny else rows
        return neighbors.searched(rows, self.chosen.repeats, self.device, seconds, asked)

    def _sized(self, model: Model) -> Model:
        return tiny(model) if self.chosen.tiny else model

    def _windows(self, rows: int, first: int) -> list[list[str]]:
        """Texts of records that no other window has; the first window may be shorter."""
        bounds = [0, *(first + rows * i for i in range(self.chosen.repeats + 1))]
        texts = [
            f"{record['instruction']}\n{record['output']}" for record in records(0, bounds[-1])
        ]
        return [texts[first:last] for first, last in pairwise(bounds)]


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--suites", default="all", help="names, or all but " + ", ".join(_ASKED_FOR)
    )
    parser.add_argument("--rows", type=int, default=None, help="of a window; default 4,096")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=None)
    parser.add_argument("--tiny", action="store_true", help="small models, and no gates")
    parser.add_argument("--only-compile", metavar="FOLDER", help="for its own child processes")
    chosen = parser.parse_args()
    chosen.rows = chosen.rows or (48 if chosen.tiny else 4_096)
    with TemporaryDirectory() as own:
        bench = Bench(chosen, Path(chosen.only_compile or own))
        suites = bench.suites()
        usual = [name for name in suites if name not in _ASKED_FOR]
        names = usual if chosen.suites == "all" else chosen.suites.split(",")
        if unknown := set(names) - set(suites):
            parser.error(f"there is no suite {unknown.pop()}; suites are {', '.join(suites)}")
        if chosen.only_compile:
            warm_up(suites[names[0]]())
            return
        verdicts = measured(bench, names, Console(width=130))
    if not chosen.tiny:
        _judge(verdicts, Console(width=130))


def measured(bench: Bench, names: Sequence[str], console: Console) -> list[Verdict]:
    """Compile, then measure suite after suite."""
    started = time.perf_counter()
    _introduce(bench.device, console)
    if bench.code:
        compile_beside_each_other(bench, [name for name in names if bench.compiles(name)])
        console.print(f"models compiled beside each other: {_since(started)}")
    suites = bench.suites()
    verdicts = []
    for name in names:
        began = time.perf_counter()
        suite = suites[name]()
        verdicts += show(suite, measure(suite, bench.device), bench.device, console)
        console.print(f"  this suite: {_since(began)}; all so far: {_since(started)}")
    return verdicts


def compile_beside_each_other(bench: Bench, names: Sequence[str]) -> None:
    """Fill the folder of compiled code, one process for each suite.

    Raises:
        CalledProcessError: a suite cannot be compiled.
    """
    given = ["--rows", str(bench.chosen.rows), "--repeats", "0", "--device", bench.chosen.device]
    given += ["--compile", "--only-compile", str(bench.folder)]
    given += ["--tiny"] if bench.chosen.tiny else []
    environment = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "4"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.gpu", "--suites", name, *given], env=environment
        )
        for name in names
    ]
    for process in running:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, process.args)


def warm_up(suite: GpuSuite) -> None:
    """Run the last arm, the compiled one, on the first window."""
    *_, arm = suite.arms.values()
    list(arm.answers(suite.windows[:1]))


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.0f} s"


def _introduce(device: str, console: Console) -> None:
    """The card and the libraries, which times depend on."""
    named = machine() | {name: version(name) for name in _LIBRARIES}
    if device != "cpu":
        named |= {"device": torch.cuda.get_device_name(device), "CUDA": torch.version.cuda}
    console.print("; ".join(f"{name} {value}" for name, value in named.items()))


def _judge(verdicts: list[Verdict], console: Console) -> None:
    for verdict in verdicts:
        figure = "-" if verdict.figure is None else f"{verdict.figure:.3g}"
        state = "ok" if verdict.ok else "MISSED"
        console.print(f"{state}  {verdict.gate}: {figure}, wanted {verdict.wanted:g}")
    missed = [verdict.gate for verdict in verdicts if not verdict.ok]
    sys.exit("gates missed: " + "; ".join(missed) if missed else 0)


if __name__ == "__main__":
    main()
