"""Does the gate let pass what is not an effect of an indicator? `python -m bench.nulls`.

Simulated fits of the size of the embedded one: eight sources, half of the variance of the
indicators between them, subsets drawn by the product's own design, hinges offered beside the
indicators as `fit` offers them (`--no-hinges`: the same fits without). The loss of a run depends on
seeds alone, on values that examples have of their own, on values of sources, or on both; no
indicator matters. The gate must pass in 7 of 100 at most. The last row is the other side: one
indicator explains half of the variance beside the sources, and should be found.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from instructmining.fitting.cross_validation import cross_validate
from instructmining.fitting.hinges import hinge_means, hinges_of
from instructmining.fitting.out_of_sample import crossed
from instructmining.fitting.shared_examples import overlap_of, source_terms, with_shares
from instructmining.fitting.subset_design import Design, draw_subsets
from instructmining.fitting.terms import select_terms
from instructmining.rules.gate import objection

INDICATORS = [f"x{i}" for i in range(13)]
SOURCES = {"a": 1500, "b": 1500, "c": 985, "d": 1500, "e": 1500, "f": 551, "g": 97, "h": 1500}
NULLS = ("seeds", "examples", "sources", "sources and examples")
EFFECT = "an indicator"
_BETWEEN, _SEED_SHARE, _MOST = 0.5, 0.12, 0.07
_SPREAD = 0.002  # of log loss between runs, as in the embedded fit


def candidates(generator: np.random.Generator) -> pd.DataFrame:
    """Examples with correlated indicators, whose means differ between sources."""
    count = len(INDICATORS)
    mixing = generator.standard_normal((count, count)) / np.sqrt(count)
    covariance = mixing @ mixing.T + 0.5 * np.eye(count)
    scale = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / np.outer(scale, scale))
    frames = []
    for source, rows in SOURCES.items():
        within = generator.standard_normal((rows, count)) @ root.T * np.sqrt(1 - _BETWEEN)
        mean = generator.standard_normal(count) * np.sqrt(_BETWEEN)
        frames.append(pd.DataFrame(within + mean, columns=INDICATORS).assign(source=source))
    return pd.concat(frames, ignore_index=True)


def simulated(
    rows: pd.DataFrame,
    design: Design,
    kind: str,
    generator: np.random.Generator,
    with_hinges: bool = True,
) -> pd.DataFrame:
    """The runs of a design whose loss has one kind of reason."""
    members = np.zeros((len(design.subsets), len(rows)))
    for run, subset in enumerate(design.subsets):
        members[run, subset] = 1 / len(subset)
    by_example = _standard(members @ generator.standard_normal(len(rows)))
    by_source = _standard(design.mix.to_numpy() @ generator.standard_normal(len(SOURCES)))
    by_indicator = _standard(design.means["x0"].to_numpy())
    by_seed = generator.standard_normal(len(design.subsets))
    explained = {
        "seeds": by_seed,
        "examples": by_example,
        "sources": by_source,
        "sources and examples": np.sqrt(0.7) * by_source + np.sqrt(0.3) * by_example,
        EFFECT: np.sqrt(0.5) * by_indicator + np.sqrt(0.25) * (by_source + by_example),
    }[kind]
    loss = np.sqrt(1 - _SEED_SHARE) * explained + np.sqrt(_SEED_SHARE) * by_seed
    hinges = hinges_of(rows, INDICATORS) if with_hinges else {}
    frame = design.means.join(hinge_means(rows, hinges, design.subsets)).assign(
        log_loss=1.6 + _SPREAD * loss,
        half=design.halves,
    )
    mixes = [
        {str(source): share for source, share in row.items()}
        for row in design.mix.to_dict("records")
    ]
    return with_shares(frame, mixes)


def passes(runs: pd.DataFrame, design: Design, seed: int) -> bool:
    """Whether the product's search finds terms in these runs that pass the product's gate."""
    overlap = overlap_of([list(map(str, rows)) for rows in design.subsets])
    sources = source_terms(runs, seed)
    offered = [name for name in runs.columns if name.partition("_")[0] in INDICATORS]
    selection = select_terms(runs, offered, "cv", seed, sources, overlap)
    if not selection.terms:
        return False  # no term, no rule
    halves = crossed(runs, offered, sources, seed)
    proof = {
        "rmse": cross_validate(runs, selection.terms, seed).rmse,
        "rmse_mean_only": cross_validate(runs, (), seed).rmse,
        "crossed_beside_sources": halves.beside_sources if halves else None,
    }
    stored = {"cross_validation": proof, "permutation_p": selection.p_value}
    return objection("it", stored, None) is None


def share_that_passes(
    kind: str, fits: int, subsets: int, size: int, seed: int, with_hinges: bool = True
) -> int:
    """Fits of one kind that pass the gate."""
    passed = 0
    for i in range(fits):
        generator = np.random.default_rng([seed, i])
        rows = candidates(generator)
        design = draw_subsets(rows, INDICATORS, subsets, size, i)
        runs = simulated(rows, design, kind, generator, with_hinges)
        passed += passes(runs, design, i)
    return passed


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table; exit 1 where a null passes more often than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--subsets", type=int, default=129)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-hinges", action="store_true")
    chosen = parser.parse_args(argv)
    print(
        f"{chosen.subsets} subsets of {chosen.size}; the gate may pass {100 * _MOST:g} % of a null"
    )
    print(f"{'the loss depends on':<24}{'n':>6}{'passes':>10}   95 % interval")
    bad = False
    for kind in (*NULLS, EFFECT):
        passed = share_that_passes(
            kind, chosen.fits, chosen.subsets, chosen.size, chosen.seed, not chosen.no_hinges
        )
        interval = binomtest(passed, chosen.fits).proportion_ci(0.95, "wilson")
        share = passed / chosen.fits
        wrong = kind != EFFECT and share > _MOST
        bad = bad or wrong
        print(
            f"{kind:<24}{chosen.fits:>6}{100 * share:>8.1f} %   "
            f"{100 * interval.low:.1f} … {100 * interval.high:.1f}{'   NOT OK' if wrong else ''}",
            flush=True,
        )
    sys.exit(1 if bad else 0)


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.mean()) / values.std()


if __name__ == "__main__":
    main()
