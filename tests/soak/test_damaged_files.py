"""Files that are lost or damaged between two runs: named or made again, and no number is wrong."""

import pytest
import tiny_models
import yaml
from killing import one_sentence
from snapshots import check, taken

from bench.harness.comparison import compare_stores
from bench.harness.rows import write_real_rows

pytestmark = pytest.mark.soak

FIRST, ROWS = 12, 24


@pytest.fixture
def data(tmp_path):
    """A folder with a first file, and what delivers a second."""
    write_real_rows(tmp_path / "rows.jsonl", ROWS, longest=600)
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(lines[:FIRST]), encoding="utf-8")
    return folder, lambda: (folder / "b.jsonl").write_text("".join(lines[FIRST:]), encoding="utf-8")


def test_a_lost_index_file(data, tmp_path, program, record_property):
    folder, deliver = data
    shared = tmp_path / "files"
    log = tmp_path / "score.log"
    options = ("--files", str(shared), "--set", "knn.broadcast_up_to_mb=0")
    score = program(folder, log, 100, options=options)
    store = tmp_path / "store"
    score.finish(store)
    [index] = (shared / "index").iterdir()
    index.unlink()
    deliver()
    score.finish(store)
    assert [each.name for each in (shared / "index").iterdir()] != [index.name]
    program(folder, log, 100).finish(tmp_path / "undisturbed")  # broadcast: without a file
    differences = compare_stores(tmp_path / "undisturbed", store, 1e-4)
    assert [each for each in differences if not each.ok] == []
    [distances] = [each for each in differences if each.table == "pool_knn"]
    assert distances.rows == ROWS
    record_property(
        "seen",
        f"written again; {distances.rows} rows of distances, largest "
        f"difference {distances.largest:.0e}",
    )


def test_a_damaged_file_of_weights(data, tmp_path, program, record_property):
    folder, deliver = data
    weights = tiny_models.llama(tmp_path / "llama") / "model.safetensors"
    listed = {
        "name": "one",
        "perplexity": {
            "kind": "causal_lm",
            "source": str(weights.parent),
            "template": "tags",
            "indicators": ["output_length", "perplexity"],
        },
    }
    (tmp_path / "models.yml").write_text(yaml.safe_dump(listed))
    score = program(folder, tmp_path / "score.log", 100, tmp_path / "models.yml")
    store = tmp_path / "store"
    score.finish(store)
    before = taken(store)
    whole = weights.read_bytes()
    deliver()
    weights.write_bytes(whole[: len(whole) // 2])
    assert score.start(store).wait() == 2
    told = one_sentence(score.said(), "fetch or copy the model again")
    assert told.startswith(f"{weights} is damaged")
    after = taken(store)
    check(before, after, [FIRST])
    counts = ({name: len(rows) for name, rows in each.items()} for each in (before, after))
    assert next(counts) == next(counts)  # nothing was written
    weights.write_bytes(whole)
    assert score.finish(store) == ROWS - FIRST
    check(before, taken(store), [FIRST, ROWS])
    said = told.partition("; ")[0].replace(str(weights.parent), "…")
    record_property("seen", f"{said}; nothing written; with the whole file the other rows")
