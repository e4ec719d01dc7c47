"""The notebooks as they are committed: thin, without outputs, for any machine."""

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[3] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_all_are_known_and_they_run_in_the_order_of_their_names() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "01_score",
        "02_read",
        "03_fit",
        "04_selected_versus_random",
        "05_straight_into_a_trainer",
        "06_scores_that_are_there",
        "07_why_is_a_group_bad",
        "08_cascade",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_what_it_printed(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert {cell.execution_count for cell in code} == {None}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_thin_and_says_what_it_is(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert len(code.splitlines()) < 60
    for place in ("/home/", "/tmp/", "/work/", "C:\\"):
        assert place not in code
