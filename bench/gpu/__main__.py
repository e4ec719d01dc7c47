"""Run suites on a GPU, print them and judge their gates; exits 1 where one is missed.

    python -m bench.gpu                                  # all suites, about four minutes on an H200
    python -m bench.gpu --suites reward-neox,neighbors   # some of them
    python -m bench.gpu --compile                        # compiled arms too, 1 to 2 minutes each
    python -m bench.gpu --tiny --device cpu              # small models, and no gates

Every window of rows is new, and the first of each arm, which loads and warms up, is not counted.
"""

import argparse
import sys
from collections.abc import Callable
from importlib.metadata import version
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

_LIBRARIES = ("torch", "transformers", "peft", "sentence-transformers", "faiss-cpu", "numpy")


class Bench:
    """Makes the suites of one call, one at a time, in folders of its own."""

    def __init__(self, chosen: argparse.Namespace, folder: Path):
        self.chosen, self.folder = chosen, folder
        self.device = choose_device(chosen.device)

    def suites(self) -> dict[str, Callable[[], GpuSuite]]:
        """By name."""
        return {
            "reward-neox": lambda: self._scored(NEOX, True, 0.60),
            "reward-qwen": lambda: self._scored(QWEN, True, 0.45),
            "reward-llama": lambda: self._scored(LLAMA, True, 0.65),
            "perplexity-neox": lambda: self._scored(NEOX, False, 0.60),
            "perplexity-qwen": lambda: self._scored(QWEN, False, 0.45),
            "perplexity-llama": lambda: self._scored(LLAMA, False, 0.65),
            "embedding": lambda: scoring.sentences(self._windows(self.chosen.rows), self.device),
            "finetune-full": lambda: self._finetuned("full", 0.35),
            "finetune-lora": lambda: self._finetuned("lora", 0.30),
            "neighbors": lambda: self._neighbors(200_000, 3.0),
            "neighbors-1m": lambda: self._neighbors(1_000_000, 12.0),
        }

    def _scored(self, model: Model, reward: bool, gate: float) -> GpuSuite:
        windows = self._windows(self.chosen.rows)
        place = self.folder / f"{model.family}-{reward}"
        compiling = self.chosen.compile
        return scoring.scored(
            self._sized(model), reward, place, windows, self.device, compiling, gate
        )

    def _finetuned(self, adapter: str, gate: float) -> GpuSuite:
        windows = self._windows(max(64, self.chosen.rows // 8))
        place = self.folder / f"finetune-{adapter}"
        compiling = self.chosen.compile
        return finetunes.finetuned(
            self._sized(NEOX), adapter, place, windows, self.device, compiling, gate
        )

    def _neighbors(self, rows: int, seconds: float) -> GpuSuite:
        rows = rows // 200 if self.chosen.tiny else rows
        return neighbors.searched(rows, self.chosen.repeats, self.device, seconds)

    def _sized(self, model: Model) -> Model:
        return tiny(model) if self.chosen.tiny else model

    def _windows(self, rows: int) -> list[list[str]]:
        """Texts of records that no other window has."""
        texts = [
            f"{record['instruction']}\n{record['output']}"
            for record in records(0, rows * (self.chosen.repeats + 1))
        ]
        return [texts[start : start + rows] for start in range(0, len(texts), rows)]


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--suites", default="all")
    parser.add_argument("--rows", type=int, default=None, help="of a window; default 4,096")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--compile", action="store_true", help="measure compiled models too")
    parser.add_argument("--tiny", action="store_true", help="small models, and no gates")
    chosen = parser.parse_args()
    chosen.rows = chosen.rows or (48 if chosen.tiny else 4_096)
    console = Console(width=120)
    with TemporaryDirectory() as folder:
        bench = Bench(chosen, Path(folder))
        suites = bench.suites()
        names = list(suites) if chosen.suites == "all" else chosen.suites.split(",")
        if unknown := set(names) - set(suites):
            parser.error(f"there is no suite {unknown.pop()}; suites are {', '.join(suites)}")
        _introduce(bench.device, console)
        verdicts = [
            verdict for name in names for verdict in _ran(suites[name](), bench.device, console)
        ]
    if not chosen.tiny:
        _judge(verdicts, console)


def _ran(suite: GpuSuite, device: str, console: Console) -> list[Verdict]:
    return show(suite, measure(suite, device), device, console)


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
