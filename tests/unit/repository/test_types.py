"""What `make typecheck` looks at: the types of the libraries that the code is made of."""

import subprocess
import sys

from installed import ROOT

MISTAKES = """\
import pandas as pd
import torch
from pyspark.sql import DataFrame
from transformers import AutoTokenizer


def mistakes(df: DataFrame, tensor: torch.Tensor, frame: pd.DataFrame) -> None:
    df.no_such_method()
    df.count() + "x"
    tensor.no_such_method()
    frame.no_such_method()
    AutoTokenizer.no_such_method()
    df.where("a > 1").count() + tensor.numel() + len(frame)
"""


def test_calls_that_spark_torch_transformers_and_pandas_do_not_have_are_found(tmp_path):
    snippet = tmp_path / "mistakes.py"
    snippet.write_text(MISTAKES, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", snippet],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.partition("mistakes.py:")[2] for line in done.stdout.splitlines()]
    errors = [(int(line.split(":")[0]), line.rpartition(" ")[2]) for line in lines if line]
    assert errors == [
        (8, "[operator]"),
        (9, "[operator]"),
        (10, "[attr-defined]"),
        (11, "[operator]"),
        (12, "[attr-defined]"),
    ], done.stdout + done.stderr
