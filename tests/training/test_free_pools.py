"""Pools of free data, and rows beside them to measure on."""

import json

import pytest

from bench import free_pools
from instructmining.identity import example_id, half
from training.data import data_folder

pytestmark = pytest.mark.skipif(not data_folder().is_dir(), reason="needs the data folder")


def ids_of(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    return [example_id(json.loads(line)["messages"]) for line in lines]


def test_held_out_rows_are_in_no_pool_and_no_model_was_trained_on_either(tmp_path, capsys):
    arguments = ["--to", str(tmp_path), "--pools", "dolly", "--rows", "300", "--held-out", "40"]
    free_pools.main(arguments)
    assert capsys.readouterr().out.startswith("dolly: 300 of ")
    assert {file.name for file in tmp_path.iterdir()} == {"dolly.jsonl", "dolly_held_out.jsonl"}
    pool, held_out = ids_of(tmp_path / "dolly.jsonl"), ids_of(tmp_path / "dolly_held_out.jsonl")
    assert (len(set(pool)), len(set(held_out))) == (300, 40)
    assert not set(pool) & set(held_out)
    assert {half(one) for one in [*pool, *held_out]} == {1}


def test_a_pool_is_the_same_with_rows_held_out_or_without(tmp_path):
    for folder, more in (("alone", []), ("beside", ["--held-out", "10"])):
        arguments = ["--to", str(tmp_path / folder), "--pools", "dolly", "--rows", "50", *more]
        free_pools.main(arguments)
    alone, beside = (tmp_path / folder / "dolly.jsonl" for folder in ("alone", "beside"))
    assert alone.read_bytes() == beside.read_bytes()
