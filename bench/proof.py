"""Does the selection help in a dirty pool, and how much of what clean data bring?

    python -m bench.proof                                  # one pool, three seeds: minutes
    python -m bench.proof --sources dolly alpaca --dirty 0 0.3 0.5 --seeds 8 --base FOLDER

Pools of free data sets (half 1, which no embedded model trained on), of which a known share of the
rows is spoiled by ten kinds of dirt, four of which no model was trained against. Each is scored by
the product, and `evaluate` finetunes the same number of examples of every arm: random and longest
with and without the floor, rule and quality with it, and an oracle that draws at random from the
clean rows, which the labels tell. With `--tokens` every arm gets the same number of tokens instead:
long responses are then fewer. Printed are how clean the choice of every selector is
(`--seeds 0`: only this), the loss of every arm with a 95 % interval over the seeds, the share of
the gap between random and oracle that an arm closes, the difference to random and to longest, over
seeds and prompts, with p after Holm's correction over all comparisons of the pool. `--metric` adds
a task: how often the models take, of four responses, the one that belongs to a prompt.

The base model must be a stranger to the pool, or clean data cannot help it: the embedded one never
saw Alpaca; for Dolly `make base-fresh` trains one. With `--store` a broken-off run goes on.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path

from pyspark.sql import SparkSession

from bench.harness.clean_shares import shares_page
from bench.harness.dirty_rows import draw, sound_examples, write_held_out, write_pool, write_sample
from bench.harness.proof_arms import Planned, Size, measured, planned, pool_settings
from bench.harness.proof_page import choice_page, pool_page
from bench.harness.response_choice import rights_of
from instructmining.spark.session import get_session
from training.data import data_folder

_SECOND = "eval/self_instruct_user_oriented_252.jsonl"
_RUN = "proof"


def main(argv: Sequence[str] | None = None) -> None:
    """Make the pools, score them, finetune the arms, print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--sources", nargs="+", choices=["dolly", "alpaca"], default=["alpaca"])
    parser.add_argument("--dirty", nargs="+", type=float, default=[0.4], help="spoiled shares")
    parser.add_argument("--rows", type=int, default=300, help="of each pool")
    parser.add_argument("--top", type=int, default=80, help="examples of every arm")
    parser.add_argument(
        "--tokens", type=int, help="of every arm, prompts and responses, instead of examples"
    )
    parser.add_argument("--prompts", type=int, default=100, help="of each of two evaluation sets")
    parser.add_argument("--seeds", type=int, default=3, help="finetunes of every arm; 0: none")
    parser.add_argument(
        "--metric",
        action="store_true",
        help="also which response belongs to a prompt: twice as long",
    )
    parser.add_argument("--rule", default="auto", help="of the arm `floor, rule`, as in `score`")
    parser.add_argument("--base", help="model to finetune; default: the embedded language model")
    parser.add_argument(
        "--store", type=Path, help="folder for pools, scores and finetunes, to continue"
    )
    arguments = parser.parse_args(argv)
    spark, _ = get_session()
    with ExitStack() as stack:
        folder = stack.enter_context(folder_of(arguments.store))
        with redirect_stdout(sys.stderr):  # what `score` says of every pool
            plans = plan_all(spark, arguments, folder, stack)
        print(f"# {title(arguments)}\n")
        print(shares_page({name: plan.shares for name, plan in plans.items()}), flush=True)
        for name, plan in plans.items() if arguments.seeds else ():
            with redirect_stdout(sys.stderr):
                losses = measured(plan)
            print("\n" + pool_page(name, losses), flush=True)
            if arguments.metric:
                with redirect_stdout(sys.stderr):
                    rights = rights_of(plan)
                print(choice_page(rights), flush=True)


def plan_all(
    spark: SparkSession, arguments: argparse.Namespace, folder: Path, stack: ExitStack
) -> dict[str, Planned]:
    """The pools by name, scored and with their arms chosen."""
    data = data_folder(arguments.data)
    second = folder / "self_instruct.jsonl"
    write_sample(data / _SECOND, second, arguments.prompts, seed=0)
    plans = {}
    for source in arguments.sources:
        drawn = draw(sound_examples(data, source), arguments.rows, arguments.prompts, seed=0)
        own = folder / f"{source}_held_out.jsonl"
        write_held_out(drawn, own)
        sets = [f"{source}={own}", f"self_instruct={second}"]
        for dirty in arguments.dirty:
            file = folder / f"{source}-{arguments.rows}-{100 * dirty:.0f}.jsonl"
            write_pool(drawn, file, dirty, seed=0)
            size = Size(arguments.top, arguments.tokens, arguments.seeds)
            settings = pool_settings(
                file, folder / "store", arguments.base, sets, size, arguments.rule
            )
            name = f"{source}, {100 * dirty:.0f} % spoiled"
            plans[name] = planned(spark, settings, stack, _RUN)
    return plans


@contextmanager
def folder_of(kept: Path | None) -> Iterator[Path]:
    """Where pools and the store lie: the folder that is kept, or one that is gone afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def title(arguments: argparse.Namespace) -> str:
    """What was done, in a line."""
    size = f"{arguments.tokens:,} tokens" if arguments.tokens else str(arguments.top)
    return (
        f"{size} of {arguments.rows:,} rows, {arguments.seeds} seeds, base "
        f"{arguments.base or 'embedded:lm'}, rule {arguments.rule}"
    )


if __name__ == "__main__":
    main()
