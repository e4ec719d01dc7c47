"""Tokens per second of every embedded model, bf16 and fp32: `python -m training.speed`."""

import argparse
import random
import time

import torch

from instructmining.models import load_model_list, resolve
from training.data import data_folder, half_examples
from udfs.device import choose_device, default_token_budget
from udfs.scorers import load_scorer


def main(argv: list[str] | None = None) -> None:
    """Measure held-out Dolly rows with each model of the embedded list, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--rows", type=int, default=500)
    arguments = parser.parse_args(argv)
    dolly = [e for e in half_examples(data_folder(arguments.data), 1) if e.pool == "dolly"]
    rows = [e.messages for e in random.Random(0).sample(dolly, arguments.rows)]
    device = choose_device()
    print(f"{len(rows)} rows of Dolly on {device}, {torch.get_num_threads()} threads")
    for stage in ("reward", "perplexity", "embed"):
        model = resolve(load_model_list("embedded").stages[stage])
        for dtype in ("float32", "bfloat16"):
            scorer = load_scorer(model, device, dtype, default_token_budget(device))
            scorer.measure(rows[:20])
            started = time.monotonic()
            found = scorer.measure(rows)
            seconds = time.monotonic() - started
            read = int((found.tokens - found.truncated_tokens).sum())
            print(f"{stage:<11} {dtype:<9} {read / seconds:8.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main()
