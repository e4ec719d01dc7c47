"""Bring the model cards in line with what was measured: `python -m training.cards`.

Whatever stands in a card between `<!-- figures: NAME -->` and `<!-- end -->` is written here, from
`recipe.json`, `figures.json` and `comparison.json` beside the card. The prose around it is written
by people; the numbers it repeats are the card's claims, and a claim that no longer holds is an
error: what a figure means has to be thought about again when it moves.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from instructmining.errors import UserError
from instructmining.packaged import conf_folder
from training.data import POOLS
from training.preferences import LICENCES
from training.statistics import with_interval

EMBEDDED = conf_folder() / "models" / "embedded"
BLOCK = re.compile(r"(<!-- figures: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BASE = ("base: all-MiniLM-L6-v2", "Apache-2.0", "sentence-transformers")
BASELINES = {
    "ngram_5_bytes": "byte 5-gram, Witten-Bell, all training responses",
    "lzma_dictionary": "LZMA with 4 MB of training text (first 100 responses)",
    "zlib_dictionary": "zlib with 32 kB of training text",
}
CHOSEN = "lower 3 layers"
SHAPES = ("frozen 6 layers, heads", "low-rank updates of 6 layers", "top 2 of 6 layers", CHOSEN)
AMOUNTS = (f"{CHOSEN}, half the pairs", CHOSEN, f"{CHOSEN}, twice the pairs")
SOURCES = (f"{CHOSEN}, human pairs only", f"{CHOSEN}, spoiled pairs only", CHOSEN)

Figures = Mapping[str, Any]


def rendered(card: str, blocks: Mapping[str, str], name: str) -> str:
    """The card with every marked block replaced; all else stays as it is.

    Raises:
        UserError: the card does not mark exactly the blocks that there are.
    """
    marked = [match[2] for match in BLOCK.finditer(card)]
    if sorted(marked) != sorted(blocks):
        raise UserError(
            f"the card of {name} must mark each of {', '.join(sorted(blocks))} once with "
            f"`<!-- figures: NAME -->` and `<!-- end -->`, but it marks {', '.join(marked) or '-'}"
        )
    return BLOCK.sub(lambda match: f"{match[1]}{blocks[match[2]]}\n{match[3]}", card)


def missing_claims(card: str, claims: Iterable[str]) -> list[str]:
    """The claims that the prose does not make, whatever its line breaks."""
    prose = " ".join(BLOCK.sub("", card).split())
    return [claim for claim in claims if claim not in prose]


def blocks_of(folder: Path) -> dict[str, str]:
    """Every block of one model's card by its name, as Markdown."""
    recipe = _read(folder / "recipe.json")
    figures = _read(folder / "figures.json")
    if "human" not in figures:
        return {
            "data": _data(()),
            "recipe": _recipe(f"training.lm --sizes {folder.name}", "conversations", recipe),
            "bits per byte": _bits_per_byte(figures),
            "separation": _separation(figures["auc"]),
        }
    gates = (f"- {'met' if met else '**missed**'}: {g}" for g, met in figures["gates"].items())
    runs = _read(folder / "comparison.json")
    amounts = runs | {"as shipped": _shipped(recipe, figures)}
    return {
        "data": _data(recipe["sources"]),
        "recipe": _recipe("training.quality", "pairs", recipe),
        "human pairs": _human(figures["human"]),
        "spoiled responses": _spoiled(figures["corruptions"]),
        "gates": "\n".join(gates),
        "shapes": _runs(runs, SHAPES, "GFLOP per Alpaca row", lambda r: r["gigaflop_per_row"]),
        "amounts": _runs(amounts, (*AMOUNTS, "as shipped"), "pairs", lambda r: f"{r['pairs']:,}"),
        "sources": _runs(runs, SOURCES, "pairs", lambda r: f"{r['pairs']:,}"),
    }


def claims_of(folder: Path) -> list[str]:
    """What the prose of one model's card must say, word for word."""
    recipe = _read(folder / "recipe.json")
    figures = _read(folder / "figures.json")
    config = _read(folder / "config.json")
    if "human" not in figures:
        return [
            f"{recipe['parameters']:,} parameters, {config['num_hidden_layers']} layers of width "
            f"{config['hidden_size']}, tied embeddings, context "
            f"{config['max_position_embeddings']:,}",
            f"it has read {recipe['tokens_seen'] / 1e6:.1f} million tokens",
            f"({figures['responses']} responses of Dolly and GPTeacher, half 1, fp32)",
        ]
    parts = [
        f[key]
        for f in figures["corruptions"].values()
        for key in ("reward", "reward_length_matched")
        if f[key]
    ]
    alike = figures["human"]["length_matched_pooled"]["accuracy"]
    beats_length = figures["gates"]["human macro 5 points above length"]
    return [
        f"at least {100 * min(p['accuracy'] for p in parts):.0f} of 100 held-out pairs",
        f"it is right in {100 * alike:.0f} of 100",
        f"the aim of 5 points above length is {'met' if beats_length else 'missed'}",
        *_conclusions(_read(folder / "comparison.json"), config["layers"]),
    ]


def _conclusions(runs: Figures, layers: int) -> list[str]:
    """The numbers in the sentences under the comparison, of the runs that are there."""
    sentences = []
    if CHOSEN in runs:
        sentences.append(
            f"{layers} layers, {runs[CHOSEN]['gigaflop_per_row']} GFLOP per Alpaca row"
        )
    if runs.keys() >= set(AMOUNTS):
        half, once, twice = (f"{runs[name]['reward_swapped']:.2f}" for name in AMOUNTS)
        sentences.append(f"wins {half}, {once} and {twice} of the swapped pairs")
    if runs.keys() >= set(SOURCES):
        human, spoiled, both = (f"{runs[name]['human_macro']:.2f}" for name in SOURCES)
        sentences.append(f"human macro {human}, {spoiled} and {both}")
    return sentences


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"{path} is missing: `make models` writes it")
    return json.loads(path.read_text(encoding="utf-8"))


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    first, *others = ("| " + " | ".join(map(str, row)) + " |" for row in (header, *rows))
    return "\n".join((first, "|" + "---|" * (first.count("|") - 1), *others))


def _shown(figure: Figures | None, count: bool = True) -> str:
    """An accuracy with its interval and number of pairs; a dash where too few pairs are alike."""
    if figure is None:
        return "–"
    pairs = f" (n = {figure['pairs']})" if count else ""
    return f"{figure['accuracy']:.3f} {_interval(figure['interval'])}{pairs}"


def _area(figure: Figures) -> str:
    return f"{figure['auc']:.3f} {_interval(figure['interval'])}"


def _interval(ends: Sequence[float]) -> str:
    return "[{:.3f}, {:.3f}]".format(*ends)


def _data(sources: Iterable[str]) -> str:
    preferred = [LICENCES[source] for source in sources]
    pools = [(pool.path, pool.licence, pool.attribution) for pool in POOLS.values()]
    rows: list[Iterable[str]] = [(f"`{path}`", *rest) for path, *rest in preferred + pools]
    return _table(("file", "licence", "attribution"), [*rows, BASE] if preferred else rows)


def _recipe(module: str, unit: str, recipe: Figures) -> str:
    seen = recipe["examples" if unit == "conversations" else unit]
    return (
        f"`python -m {module}`, seed {recipe['seed']}: {seen:,} {unit}, "
        f"{recipe['tokens_seen']:,} tokens read in\n{recipe['steps']:,} steps, "
        f"{recipe['seconds']:,} s wall clock on {recipe['device']}. SHA-256 of the sorted ids of "
        f"half 0:\n`{recipe['examples_digest']}`."
    )


def _bits_per_byte(figures: Figures) -> str:
    baselines = figures["baseline_bits_per_byte"]

    def bits(name: str) -> str:
        return f"{figures[name]:.3f} {_interval(figures[f'{name}_interval'])}"

    return _table(
        ("", "bits per byte"),
        [
            ("this model, after its prompt", f"**{bits('bits_per_byte')}**"),
            ("this model, response alone", bits("bits_per_byte_alone")),
            *((text, f"{baselines[key]:.3f}") for key, text in BASELINES.items()),
        ],
    )


def _separation(areas: Figures) -> str:
    return _table(
        ("spoiled by", "perplexity", "perplexity alone"),
        (
            (name.replace("_", " "), *(_area(a) for a in area.values()))
            for name, area in areas.items()
        ),
    )


def _human(human: Figures) -> str:
    macro = human["macro_without_politeness"]
    sets = [
        (
            name,
            f"{f['pairs']} / {f['clusters']}",
            _shown(f, count=False),
            f"{f['longest']:.3f}",
            f"{f['shortest']:.3f}",
            _shown(f["length_matched"]),
        )
        for name, f in human["sets"].items()
    ]
    means = [f"{macro[key]:.3f}" for key in ("accuracy", "longest", "shortest")]
    pooled = f"pooled {_shown(human['length_matched_pooled'])}"
    return _table(
        ("set", "pairs / clusters", "accuracy", "longest", "shortest", "lengths within 10 %"),
        [*sets, ("macro without politeness", "", *means, pooled)],
    )


def _spoiled(corruptions: Figures) -> str:
    questions = ("naturalness", "coherence", "understandability")
    return _table(
        ("spoiled by", "reward", "reward, lengths within 10 %", *questions),
        (
            (
                name.replace("_", " "),
                _shown(f["reward"]),
                _shown(f["reward_length_matched"]),
                *(
                    _area(with_interval(f["auc"][q], f["reward"]["pairs"])) if q in f["auc"] else ""
                    for q in questions
                ),
            )
            for name, f in corruptions.items()
        ),
    )


def _shipped(recipe: Figures, figures: Figures) -> dict[str, Any]:
    """The shipped model as one more run of the comparison."""
    human = figures["human"]
    corruptions = figures["corruptions"]
    return {
        "pairs": recipe["pairs"],
        "human_macro": human["macro_without_politeness"]["accuracy"],
        "human_length_matched": human["length_matched_pooled"],
        **{f"reward_{name}": f["reward"]["accuracy"] for name, f in corruptions.items()},
    }


def _runs(
    runs: Figures, names: Iterable[str], column: str, value: Callable[[Figures], object]
) -> str:
    """The named runs that are there, one line each."""
    rows = []
    for name in names:
        if name in runs:
            run = runs[name]
            accuracy, worst = min((a, k) for k, a in run.items() if k.startswith("reward_"))
            spoiled = f"{accuracy:.3f} ({worst.removeprefix('reward_').replace('_', ' ')})"
            rows.append(
                (
                    name,
                    value(run),
                    f"{run['human_macro']:.3f}",
                    _shown(run["human_length_matched"]),
                    spoiled,
                )
            )
    header = ("trained", column, "human macro", "human, lengths within 10 %", "worst spoiling")
    return _table(header, rows)


def main() -> None:
    """Rewrite the cards of all models; then complain about prose that no longer holds."""
    stale = []
    for path in sorted(EMBEDDED.glob("*/README.md")):
        card = rendered(path.read_text(encoding="utf-8"), blocks_of(path.parent), path.parent.name)
        path.write_text(card, encoding="utf-8")
        missing = missing_claims(card, claims_of(path.parent))
        stale += [f"the card of {path.parent.name} must say {claim!r}" for claim in missing]
    if stale:
        raise UserError("; ".join(stale) + ": edit the prose, then run `python -m training.cards`")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
