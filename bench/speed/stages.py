"""How fast every model stage reads: `python -m bench.speed.stages --rows 2000 --models embedded`.

Prints per stage and precision the tokens read per second of wall time and per second of CPU
(which a busy machine does not falsify), and the arithmetic per row. No Spark: what is timed is
the scorer alone, tokenising included, after a warm-up; loading is timed apart.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.harness.rows import write_real_rows
from instructmining.layouts.detection import standardize
from instructmining.layouts.records import Unusable
from instructmining.models.lists import ResolvedModel
from udfs.indicators import load_model_list, resolve
from udfs.running.device import choose_device, limit_threads
from udfs.running.measurement import Conversation, TwoSteps
from udfs.running.scorers import load_scorer

WARM_UP = 32
LIGHT = {"mtld", "python"}  # no weights, so no precision


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--models", default="embedded")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    limit_threads(chosen.threads)
    device = choose_device(chosen.device)
    with TemporaryDirectory() as folder:
        about = write_real_rows(Path(folder) / "rows.jsonl", chosen.rows)
        conversations = list(_conversations(Path(folder) / "rows.jsonl"))
    table = Table(title=f"{about}; {chosen.models} models on {device}, {chosen.threads} thread(s)")
    for name in (
        "stage",
        "dtype",
        "load s",
        "wall s",
        "CPU s",
        "rows/s",
        "tokens read",
        "tokens/s",
        "tokens/CPU s",
        "host share",
        "GFLOP/row",
    ):
        table.add_column(name, justify="right")
    for stage, spec in load_model_list(chosen.models).stages.items():
        for dtype in ("-",) if spec.kind in LIGHT else ("float32", "bfloat16"):
            found = measure(resolve(spec), conversations, device, dtype.replace("-", "float32"))
            table.add_row(stage, dtype, *found)
    Console(width=120).print(table)


def measure(
    model: ResolvedModel, conversations: Sequence[Conversation], device: str, dtype: str
) -> list[str]:
    """One row of the table, from `load s` on."""
    started = time.perf_counter()
    scorer = load_scorer(model, device, dtype)
    loading = time.perf_counter() - started
    scorer.measure(conversations[:WARM_UP])
    started = time.perf_counter()
    cpu = time.process_time()
    found = scorer.measure(conversations)
    wall = time.perf_counter() - started
    cpu = time.process_time() - cpu
    tokens = int((found.tokens - found.truncated_tokens).sum())
    light = model.spec.kind in LIGHT
    return [
        f"{loading:.1f}",
        f"{wall:.1f}",
        f"{cpu:.1f}",
        f"{len(conversations) / wall:.0f}",
        f"{tokens:,}",
        f"{tokens / wall:,.0f}",
        f"{tokens / cpu:,.0f}",
        f"{host_share(scorer, conversations, cpu):.3f}" if isinstance(scorer, TwoSteps) else "-",
        "-" if light else f"{_gflop(scorer, conversations[:: 1 + len(conversations) // 100]):.2f}",
    ]


def host_share(scorer: TwoSteps, conversations: Sequence[Conversation], cpu: float) -> float:
    """What rendering, tokenising and cutting take of `cpu` seconds: what a GPU would wait for."""
    started = time.process_time()
    scorer.prepare(conversations)
    return (time.process_time() - started) / cpu


def _gflop(scorer: Any, conversations: Sequence[Conversation]) -> float:
    """Floating-point operations per row, counted by torch on a sample (padding included)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from udfs.running.cpu import can_reorder

    # Of udfs.running.cpu, unknown to torch.
    reordered = {torch.ops.mkldnn._linear_pointwise: _linear_flop} if can_reorder() else {}
    with FlopCounterMode(display=False, custom_mapping=reordered) as counter:
        scorer.measure(conversations)
    return float(counter.get_total_flops()) / len(conversations) / 1e9


def _linear_flop(states: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    return 2 * math.prod(states) * out_shape[-1]


def _conversations(path: Path) -> Iterator[Conversation]:
    import json

    for line in path.read_text(encoding="utf-8").splitlines():
        _, [(_, conversation)] = standardize(json.loads(line))
        if not isinstance(conversation, Unusable):
            yield conversation


if __name__ == "__main__":
    main()
