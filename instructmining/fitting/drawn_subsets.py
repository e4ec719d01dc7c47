"""The subsets of a fit as a file, from which it can be drawn again on any machine.

Scores of another machine or precision order candidates differently, so that equal seeds draw other
subsets there. The file says which examples were drawn; ids are the same everywhere.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining.errors import UserError
from instructmining.fitting.subset_design import Design, design_of
from instructmining.spoiling.spoiled_copies import is_copy

COLUMNS = ["subset", "part", "example_id"]
RANDOM = "random"  # the part of the subsets that are only tested


def members_csv(ids: Sequence[str], design: Design, random: Design) -> str:
    """One line per example of a subset: `subset` (its place), `part`, `example_id`.

    Args:
        ids: example ids of the candidates.
        design: the subsets of the fit; their part is the half of the candidates, 0 or 1, or empty.
        random: the subsets it is tested on.
    """
    names = np.asarray(ids, dtype=object)
    parts = [""] * len(design.subsets) if design.halves is None else list(design.halves)
    drawn = zip(
        (*design.subsets, *random.subsets),
        (*parts, *[RANDOM] * len(random.subsets)),
        strict=True,
    )
    frames = [
        pd.DataFrame({"subset": place, "part": str(part), "example_id": names[rows]})
        for place, (rows, part) in enumerate(drawn)
    ]
    return pd.concat(frames, ignore_index=True)[COLUMNS].to_csv(index=False)


def copies_in(path: str) -> list[str]:
    """The spoiled copies that such a file names, each once.

    Raises:
        UserError: as `read_designs`.
    """
    return sorted({one for one in _read(path)["example_id"] if is_copy(one)})


def read_designs(
    path: str, candidates: pd.DataFrame, indicators: list[str]
) -> tuple[Design, Design]:
    """The subsets of such a file, of the candidates of today.

    Args:
        path: of the file.
        candidates: `example_id`, `source` and the indicators.
        indicators: whose means are taken.

    Returns:
        The subsets to fit on, and those to test on.

    Raises:
        UserError: the file cannot be read, or names examples that are not candidates.
    """
    rows = _read(path)
    places = pd.Series(np.arange(len(candidates)), index=candidates["example_id"])
    unknown = ~rows["example_id"].isin(places.index)
    if unknown.any():
        raise UserError(
            f"fit.drawn={path}: {unknown.sum():,} of {len(rows):,} examples are not candidates "
            f"here, the first {rows.loc[unknown, 'example_id'].iloc[0]}: score the same data with "
            "the same models, and name the same evaluation sets"
        )
    own, tested = rows[rows["part"] != RANDOM], rows[rows["part"] == RANDOM]
    if own.empty:
        raise UserError(f"fit.drawn={path} holds random subsets alone, none to fit on")
    halves = own.drop_duplicates("subset")["part"]
    halved = halves.isin(["0", "1"]).all()
    parts = halves.to_numpy(np.int64) if halved else None
    return (
        design_of(candidates, indicators, _subsets(own, places), parts),
        design_of(candidates, indicators, _subsets(tested, places)),
    )


def _read(path: str) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"fit.drawn={path}: {error}") from None
    if list(rows.columns) != COLUMNS or rows.empty:
        raise UserError(
            f"fit.drawn={path} is not the subsets.csv of a fit: it has the columns "
            f"{', '.join(COLUMNS)}"
        )
    return rows


def _subsets(rows: pd.DataFrame, places: pd.Series) -> list[NDArray[np.int64]]:
    groups = rows.groupby("subset", sort=False)["example_id"]
    return [np.sort(places.reindex(ids).to_numpy(np.int64)) for _, ids in groups]
