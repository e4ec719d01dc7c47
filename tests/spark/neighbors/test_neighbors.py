"""Neighbours searched by tasks: the same whatever carries the pool and however rows are spread."""

import numpy as np
import pytest
from pyspark.sql import functions as F

from bench.speed.gather import moved_so_far, written
from instructmining.errors import UserError
from instructmining.identity import bucket
from instructmining.settings.sections import Knn
from jobs.stored import vectors as stored_vectors
from jobs.stored.vectors import gathered, with_vectors
from udfs.neighbors import cells
from udfs.neighbors import pool as neighbors
from udfs.neighbors.cells import neighbors_by_cells
from udfs.neighbors.exact import ExactIndex
from udfs.neighbors.knn import Search, neighbor_distances
from udfs.neighbors.pool import neighbors_of_pool

ROWS = 2600
IDS = [f"{i:032x}" for i in range(ROWS)]


@pytest.fixture(scope="module")
def vectors():
    random = np.random.default_rng(3)
    made = random.normal(size=(60, 64))[random.integers(0, 60, ROWS)]
    made = made + 0.5 * random.normal(size=(ROWS, 64))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def alone(vectors):
    return neighbor_distances(ExactIndex(vectors), np.arange(ROWS), Search(6, 32))


def searched(spark, vectors, version, files=None, **settings):
    found, method = neighbors_of_pool(spark, IDS, vectors, None, Knn(**settings), version, files)
    by_id = {row.example_id: row.distances for row in found.collect()}
    return np.array([by_id[each] for each in IDS]), method, found.rdd.getNumPartitions()


@pytest.mark.parametrize("rows_per_task", [ROWS, 1300])
def test_the_spread_over_tasks_changes_no_distance(
    spark, vectors, alone, rows_per_task, monkeypatch
):
    monkeypatch.setattr(neighbors, "_ROWS_PER_TASK", rows_per_task)
    found, method, tasks = searched(spark, vectors, f"spread-{rows_per_task}")
    assert (method, tasks) == ("exact", ROWS // rows_per_task)
    np.testing.assert_array_equal(found, alone)


def test_a_pool_mapped_from_a_file_gives_the_same_distances(spark, vectors, alone, tmp_path):
    sent, _, _ = searched(spark, vectors, "sent", broadcast_up_to_mb=0)
    shared, _, _ = searched(spark, vectors, "shared", str(tmp_path), broadcast_up_to_mb=0)
    assert (tmp_path / "index" / "shared.npy").is_file()
    np.testing.assert_array_equal(sent, alone)
    np.testing.assert_array_equal(shared, alone)


@pytest.mark.parametrize("limits", [{}, {"exact_up_to": 100}], ids=["pool", "graph"])
def test_an_index_that_is_lost_or_damaged_gives_no_distance_and_is_written_anew(
    spark, vectors, tmp_path, limits
):
    settings = Knn(broadcast_up_to_mb=0, **limits)
    version = f"lost-{len(limits)}"

    def distances():
        found, _ = neighbors_of_pool(spark, IDS, vectors, None, settings, version, str(tmp_path))
        return found

    for damage in (lambda file: file.unlink(), lambda file: file.write_bytes(b"no index")):
        found = distances()
        [file] = (tmp_path / "index").iterdir()  # as a whole: no part beside it
        damage(file)
        with pytest.raises(Exception, match=r"UserError: the neighbours' index .* lost or damaged"):
            found.collect()
    whole = {row.example_id: row.distances for row in distances().collect()}
    assert len(whole) == ROWS
    again, _, _ = searched(spark, vectors, f"{version}-again", broadcast_up_to_mb=0, **limits)
    np.testing.assert_array_equal([whole[each] for each in IDS], again)


@pytest.mark.parametrize("limit_mb", [512, 0])
def test_beyond_the_exact_size_a_graph_is_searched_and_says_its_recall(
    spark, vectors, alone, limit_mb, tmp_path
):
    found, method, _ = searched(
        spark,
        vectors,
        f"graph-{limit_mb}",
        str(tmp_path),
        exact_up_to=100,
        broadcast_up_to_mb=limit_mb,
    )
    assert method.startswith("hnsw, effort 64, recall 0.9") or "recall 1.0" in method
    assert (tmp_path / "index" / "graph-0.faiss").is_file() == (limit_mb == 0)
    assert np.isclose(found[:, 5], alone[:, 5], rtol=1e-6).mean() > 0.97


def by_cells(spark, vectors, copies=None, **settings):
    copies = np.zeros(ROWS, int) if copies is None else copies
    records = zip(IDS, vectors.tolist(), copies.tolist(), strict=True)
    rows = spark.createDataFrame(records, "example_id string, vector array<float>, copies bigint")
    found, method = neighbors_by_cells(rows.repartition(3), Knn(**settings))
    by_id = {row.example_id: row.distances for row in found.collect()}
    assert len(by_id) == found.count() == ROWS
    return np.array([by_id[each] for each in IDS]), method


def test_cells_that_are_all_visited_give_what_one_index_gives(spark, vectors, alone, monkeypatch):
    monkeypatch.setattr(cells, "_ASKING_PER_GROUP", 1000)  # a cell is copied into three groups
    found, method = by_cells(spark, vectors, cell_rows=300, visits=9)
    np.testing.assert_allclose(found, alone, rtol=1e-6)
    assert method == "cells, 9 of about 300 rows, 9 visits, 1.0000 of the distances right (n=1000)"


def test_cells_count_copies_as_one_index_does(spark, vectors):
    copies = np.arange(ROWS) % 4
    whole = neighbor_distances(ExactIndex(vectors), np.arange(ROWS), Search(6, 32, copies))
    found, _ = by_cells(spark, vectors, copies, cell_rows=300, visits=9, count_copies=True)
    np.testing.assert_allclose(found, whole, rtol=1e-6, atol=1e-7)


def test_a_sample_is_of_the_smallest_hashes_though_not_all_rows_are_ordered(spark):
    rows = spark.range(50_000).select(F.md5(F.col("id").cast("string")).alias("example_id"))
    ordered = rows.orderBy(F.xxhash64("example_id", F.lit(0)), "example_id")
    for wanted in (1, 700, 49_999):
        sample = cells._sampled(rows.repartition(5), wanted, 50_000, 0)
        assert sample["example_id"].to_pylist() == [
            row.example_id for row in ordered.limit(wanted).collect()
        ]


def test_fewer_visits_say_how_much_they_miss(spark, vectors, alone):
    found, method = by_cells(spark, vectors, cell_rows=20, visits=1)
    told = float(method.split("visits, ")[1].split()[0])
    right = float(np.isclose(found[:, -1], alone[:, -1], rtol=1e-3).mean())
    assert 0.05 < right < 0.995
    assert abs(told - right) < 0.06  # a sample of 1,000 of 2,600
    assert (found >= alone - 1e-6).all()  # what is missed can only be nearer


def test_rows_alone_in_their_cells_ask_the_whole_pool(spark, vectors, alone):
    found, method = by_cells(spark, vectors, cell_rows=1, visits=1)
    np.testing.assert_allclose(found, alone, rtol=1e-6)
    assert ", 0.0000 of the distances right" in method  # of the cells; asking again is not counted


@pytest.fixture(scope="module")
def thirty(spark, vectors):
    """Ids that spread over all buckets in no order, and their vectors: one twice, one at the end
    of the buckets, one of another encoder, one that is null and one that is not a member."""
    ids = [f"{i * 9_973 % 4096:03x}{i:029x}" for i in range(29)] + ["f" * 32]
    rows = [(each, bucket(each), "e", vectors[i].tolist()) for i, each in enumerate(ids)]
    rows += [
        rows[3],
        (ids[4], bucket(ids[4]), "other", vectors[5].tolist()),
        ("2" * 32, bucket("2" * 32), "e", vectors[6].tolist()),
    ]
    members = [*((each, i) for i, each in enumerate(ids)), ("1" * 32, 7)]
    return (
        ids,
        spark.createDataFrame(members, "example_id STRING, copies BIGINT"),
        spark.createDataFrame(
            [*rows, ("1" * 32, bucket("1" * 32), "e", None)],
            "example_id STRING, bucket INT, fingerprint STRING, vector ARRAY<FLOAT>",
        ).where("fingerprint = 'e' AND vector IS NOT NULL"),
    )


@pytest.mark.parametrize("rows_per_part", [30, 7])
def test_vectors_gathered_in_parts_are_in_the_order_of_their_ids(
    thirty, vectors, rows_per_part, monkeypatch
):
    monkeypatch.setattr(stored_vectors, "_PART_ROWS", rows_per_part)
    ids, members, embedded = thirty
    found, matrix, copies = gathered(members, embedded, len(ids), 64)
    assert found == sorted(ids)
    assert [ids[i] for i in copies] == found
    np.testing.assert_array_equal(matrix, vectors[copies])


@pytest.mark.parametrize("count", [29, 31])
def test_a_pool_whose_vectors_change_while_they_are_read_is_not_searched(thirty, count):
    _, members, embedded = thirty
    with pytest.raises(UserError, match=rf"\({count} vectors before, 30 now\): run the same"):
        gathered(members, embedded, count, 64)


@pytest.fixture(scope="module")
def committed(spark, tmp_path_factory):
    """A store with 64 examples over all buckets, committed in four ranges as a run does."""
    return written(spark, 64, 2, tmp_path_factory.mktemp("committed"), per_commit=16)


def explained_in_full(spark, rows):
    spark.conf.set("spark.sql.maxMetadataStringLength", 1000)
    try:
        return spark._jvm.PythonSQLUtils.explainString(rows._jdf.queryExecution(), "simple")
    finally:
        spark.conf.unset("spark.sql.maxMetadataStringLength")


def test_a_part_is_cut_out_of_the_scan_by_what_the_table_is_clustered_by(spark, committed):
    rows = with_vectors(*committed, 1024, 2048)
    explained = explained_in_full(spark, rows)
    lines = explained.splitlines()
    [place] = [i for i, line in enumerate(lines) if "FileScan" in line and "vector" in line]
    pushed = lines[place].split("PushedFilters: ")[1]
    assert "EqualTo(fingerprint,bench)" in pushed
    assert "GreaterThanOrEqual(bucket,1024)" in pushed
    assert "LessThanOrEqual(bucket,2047)" in pushed
    exchange = max(i for i in range(place) if "Exchange" in lines[i])
    assert not any("Filter" in line and "bucket" in line for line in lines[:exchange])


def test_four_parts_shuffle_what_one_does(spark, committed, monkeypatch):
    def shuffled(rows_per_part):
        monkeypatch.setattr(stored_vectors, "_PART_ROWS", rows_per_part)
        before = moved_so_far(spark).shuffled_rows
        assert len(gathered(*committed, 64, 2)[0]) == 64
        return moved_so_far(spark).shuffled_rows - before

    skipping = "spark.databricks.delta.stats.skipping"  # as with much data
    before = spark.conf.get(skipping, "true")
    spark.conf.set(skipping, "true")
    try:
        shuffled(64)  # Delta reads its log once, which shuffles as well
        assert shuffled(16) == shuffled(64) > 0
    finally:
        spark.conf.set(skipping, before)
