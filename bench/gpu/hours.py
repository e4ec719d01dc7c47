"""GPU hours for a million rows by model list, from tokens per second that were measured on an H200.

    python -m bench.gpu.hours [--tokens 73]     # tokens of a row in the mean

Where a model was not measured, its arithmetic is divided by the speed that a measured model of like
kind reached, and the row says so. docs/measured/gpu.md has the measurements.
"""

import argparse
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

_TOKENS = 73  # of an Alpaca row in the mean, of which the speeds were measured
_GEMM = 790e12  # FLOP/s of a product of matrices in bfloat16


class Stage(NamedTuple):
    """A stage of a model list on a GPU.

    Attributes:
        models: the list.
        stage: of it.
        speed: tokens of rows per second, every pass over them included.
        source: where the speed is from.
    """

    models: str
    stage: str
    speed: float
    source: str


def estimated(parameters: float, passes: float, share: float) -> float:
    """Tokens per second of a model that was not measured.

    Args:
        parameters: that each token meets.
        passes: how often a row's tokens are read.
        share: of the product of matrices that a model of like kind reached.
    """
    return share * _GEMM / (2 * parameters * passes)


def hours(rows: float, tokens: float, speed: float) -> float:
    """GPU hours of rows of this many tokens in the mean."""
    return rows * tokens / speed / 3600


_COMPILED = "measured, packed and compiled"
_MINILM = Stage("", "embed", 952_504, "measured")
_UNIEVAL = Stage(
    "",
    "unieval",
    estimated(335e6, 4, 0.16),
    "estimated: 335 M, four texts a row, 0.16 of the product",
)
STAGES = (
    _MINILM._replace(models="embedded", stage="reward, embed: each"),
    Stage("modern", "reward", 458_359, f"{_COMPILED}; 204,723 packed only"),
    Stage(
        "modern",
        "perplexity, alone too",
        329_931 / 2,
        "estimated: half of the measured speed of one pass (329,931)",
    ),
    _MINILM._replace(models="modern"),
    _UNIEVAL._replace(models="modern"),
    Stage("paper", "reward", 206_556, f"{_COMPILED}; 184,762 packed only"),
    Stage(
        "paper",
        "perplexity, alone too",
        estimated(6.6e9, 2, 0.64),
        "estimated: 6.6 B, two passes, 0.64 of the product",
    ),
    _MINILM._replace(models="paper"),
    _UNIEVAL._replace(models="paper"),
)
FINETUNE = 21_380.0  # tokens per second of 1.4 B parameters, full, packed, not compiled: measured


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tokens", type=float, default=_TOKENS)
    tokens = parser.parse_args().tokens
    table = Table(title=f"GPU hours per million rows of {tokens:g} tokens, one H200")
    for column in ("models", "stage", "tokens/s", "hours", "source"):
        table.add_column(column, justify="right" if column in ("tokens/s", "hours") else "left")
    for stage in STAGES:
        needed = hours(1e6, tokens, stage.speed)
        table.add_row(
            stage.models, stage.stage, f"{stage.speed:,.0f}", f"{needed:.2f}", stage.source
        )
    console = Console(width=130)
    console.print(table)
    fit = hours(129 * 300 * 2, tokens, FINETUNE)
    console.print(f"fit: 129 finetunes of 1.4 B on 300 rows, two epochs: {fit:.2f} GPU hours")


if __name__ == "__main__":
    main()
