"""Does every stored number equal an independent computation of it? `python -m bench.agreement`.

Scores real rows with the embedded models in float32, reads the tables that the job wrote, and
compares each indicator with `bench.harness.references`. Exits with 1 where one disagrees. UniEval's
formula is compared on a small T5, since the embedded models have heads in its place.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike

from bench.harness import references
from bench.harness.rows import write_real_rows
from bench.harness.stored import markdown, measured, prediction, table
from instructmining.models.lists import ModelList, ModelSpec, load_model_list, locate
from instructmining.rules.rule import read_rule
from instructmining.settings.loading import load_settings
from instructmining.spark.session import get_session
from jobs.scoring.run import run

PLACE = 6  # the neighbour of the paper's rule


@dataclass(frozen=True)
class Check:
    """One indicator against its reference."""

    indicator: str
    reference: str
    n: int
    left_out: int  # rows that one of the two, and so both, do not measure
    largest: float
    mean: float
    tolerance: float
    share: float  # of the rows that has to be within
    ok: bool

    @classmethod
    def of(
        cls,
        indicator: str,
        reference: str,
        stored: ArrayLike,
        expected: ArrayLike,
        tolerance: float,
        relative: bool = False,
        share: float = 1.0,
    ) -> "Check":
        """Compare; a value that only one of the two has is a disagreement."""
        ours = np.asarray(stored, float)
        theirs = np.asarray(expected, float)
        both = np.isfinite(ours) & np.isfinite(theirs)
        same = bool((np.isfinite(ours) == np.isfinite(theirs)).all() and both.any())
        off = np.abs(ours - theirs)[both] / (np.abs(theirs[both]) if relative else 1.0)
        ok = same and bool((off <= tolerance).mean() >= share)
        return cls(
            indicator,
            reference,
            int(both.sum()),
            int((~both).sum()),
            float(off.max()),
            float(off.mean()),
            tolerance,
            share,
            ok,
        )

    def cells(self) -> list[Any]:
        """A row of the printed table."""
        within = f"{self.tolerance:g}" + ("" if self.share == 1 else f", {self.share:.1%} of rows")
        return [
            self.indicator,
            self.reference,
            self.n,
            self.left_out,
            f"{self.largest:.1e}",
            f"{self.mean:.1e}",
            within,
            "ok" if self.ok else "DIFFERS",
        ]


def check_all(store: Path, models: ModelList, t5: Path) -> list[Check]:
    """Compare everything that the store holds."""
    examples = table(store, "examples").set_index("example_id").sort_index()
    pairs = list(zip(examples["prompt"], examples["response"], strict=True))
    return [
        *check_language_model(store, models.stages["perplexity"], pairs),
        *check_quality(store, models, pairs),
        *check_vectors(store, locate(models.stages["embed"].source), pairs),
        Check.of(
            "mtld",
            "McCarthy & Jarvis, in whole numbers",
            measured(store, "mtld")["mtld"],
            [references.mtld(response) for _, response in pairs],
            1e-9,
        ),
        *check_unieval(store, t5, pairs),
        *check_rules(store),
    ]


def check_language_model(store: Path, spec: ModelSpec, pairs: references.Pairs) -> list[Check]:
    """Perplexities, lengths and the recorded size of the text.

    Which part of a text that is too long gets read is the tests' matter: the perplexities of such
    rows are left out on both sides.
    """
    rows = measured(store, "perplexity")
    folder = locate(spec.source)
    losses = np.array(references.log_losses(folder, pairs, spec.max_length))
    behind, alone, size = losses.T
    expected = {
        "perplexity": np.exp(behind),
        "perplexity_alone": np.exp(alone),
        "ifd": np.exp(behind - alone),
    }
    whole = rows["truncated_tokens"] == 0
    checks = [
        Check.of(
            name,
            "transformers' loss, one row",
            rows[name].where(whole),
            values,
            1e-4,
            relative=True,
        )
        for name, values in expected.items()
    ]
    prompts, responses = zip(*pairs, strict=True)
    for name, texts in {"input_length": prompts, "output_length": responses}.items():
        counts = references.token_counts(folder, texts)
        checks.append(Check.of(name, "tokenizers library", rows[name], counts, 0))
    return [*checks, Check.of("tokens read (recorded)", "one row", rows["tokens"], size, 0)]


def check_quality(store: Path, models: ModelList, pairs: references.Pairs) -> list[Check]:
    """The heads of the embedded quality model."""
    spec = models.stages["reward"]
    expected = references.quality(locate(spec.source), locate(str(spec.base)), pairs)
    rows = measured(store, "reward")
    return [
        Check.of(name, "BertModel and heads, one row", rows[name], expected[name], 1e-4)
        for name in references.QUALITY
    ]


def check_vectors(store: Path, folder: Path, pairs: references.Pairs) -> list[Check]:
    """Embeddings, and the neighbours by brute force in the reference's own vectors."""
    rows = table(store, "embeddings").set_index("example_id").sort_index()
    stored = np.stack(rows["vector"].to_list())
    expected = references.sentence_vectors(folder, pairs)
    cosine = np.einsum("nd,nd->n", stored.astype(float), expected.astype(float))
    neighbors = table(store, "pool_knn").set_index("example_id").sort_index()
    distances = neighbors["distances"].map(lambda each: each[PLACE - 1])
    brute = references.neighbor_distances(expected, PLACE)
    return [
        Check.of("embedding, 1 - cosine", "sentence-transformers", 1 - cosine, 0 * cosine, 1e-4),
        Check.of(f"knn_{PLACE}", "all pairs, float64", distances, brute, 1e-3, share=0.999),
    ]


def check_unieval(store: Path, t5: Path, pairs: references.Pairs) -> list[Check]:
    """UniEval's formula on a small T5."""
    rows = measured(store, "unieval")
    expected = references.yes_shares(t5, pairs)
    return [
        Check.of(
            f"{name} (UniEval, tiny T5)", "generate, full softmax", rows[name], expected[name], 1e-4
        )
        for name in expected
    ]


def check_rules(store: Path) -> list[Check]:
    """Both published rules on the stored indicators."""
    scores = table(store, "scores")
    checks = []
    for name in ("paper-v1", "paper-v2"):
        rows = scores[scores["rule_name"] == name]
        expected = prediction(read_rule(name), rows)
        checks.append(
            Check.of(
                f"predicted log loss, {name}", "pandas", rows["predicted_log_loss"], expected, 1e-12
            )
        )
    return checks


def score(rows: Path, store: Path, models: str, t5: Path) -> None:
    """The job itself, three times on one store: all stages, the second rule, the tiny T5."""
    unieval = {
        "kind": "unieval",
        "source": str(t5),
        "max_length": 1024,
        "indicators": ["naturalness", "coherence", "understandability"],
    }
    only_t5 = t5.with_suffix(".yml")
    only_t5.write_text(yaml.safe_dump({"name": "t5", "unieval": unieval}), encoding="utf-8")
    common: dict[str, Any] = {
        "store": str(store),
        "tracking": {"uri": "none"},
        "measure": {"dtype": "float32"},
        "models": models,
    }
    spark, ours = get_session()
    for more in (
        {"input": (str(rows),), "rule": {"source": "paper-v1"}},
        {"stages": ("rule",), "rule": {"source": "paper-v2"}},
        {"stages": ("unieval",), "models": str(only_t5)},
    ):
        run(spark, load_settings(options=common | more))
    if ours:
        spark.stop()


def main() -> None:
    """Score, compare, print; exit with 1 where something differs."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--models", default="embedded")
    options.add_argument("--rows", type=int, default=256)
    options.add_argument("--work", type=Path, help="keep rows and store here, and use them again")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.work or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        words = write_real_rows(folder / "rows.jsonl", chosen.rows)
        t5 = references.tiny_t5(folder / "t5")
        score(folder / "rows.jsonl", folder / "store", chosen.models, t5)
        checks = check_all(folder / "store", load_model_list(chosen.models), t5)
    print(f"\n{words}, models {chosen.models}, float32\n")
    print(
        markdown(
            [
                "indicator",
                "reference",
                "n",
                "left out",
                "largest difference",
                "mean",
                "tolerance",
                "",
            ],
            [check.cells() for check in checks],
        )
    )
    if not all(check.ok for check in checks):
        sys.exit(1)


if __name__ == "__main__":
    main()
