"""ORC, Feather, Avro and data sets of the hub beside each other, by the readers that know them."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hub_cache import offline_cache
from pyarrow import feather, orc
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.reading.inputs import find_inputs, read_records

ROWS = [{"prompt": "Grüße", "response": "日本"}, {"prompt": "q", "response": "a"}]
AVRO = b'Obj\x01\x02\x16avro.schema\x10"string"\x00' + bytes(16)  # a head without rows


def test_orc_feather_and_the_hub_give_their_rows_under_stable_names(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline_cache(tmp_path, {"train": ROWS, "test": ROWS[:1]}, monkeypatch)
    data = tmp_path / "data"
    data.mkdir()
    table = pa.Table.from_pylist(ROWS)
    orc.write_table(table, data / "000000_0")  # Hive writes no ending
    more = table.append_column("score", pa.array([float("nan"), 0.5]))
    orc.write_table(pa.concat_tables([more, more]), data / "b.orc")
    feather.write_feather(table, data / "c.feather", compression="zstd")
    inputs, left_out = find_inputs(spark, (str(data), "hf:acme/qa"))
    assert left_out == []
    rows = read_records(spark, inputs).collect()
    found: dict[str, list[dict]] = {}
    for row in sorted(rows, key=lambda row: (row.source, row.position)):
        assert row.reason is None
        record = json.loads(row.raw)
        found.setdefault(Path(row.source).name, []).append(
            {name: value for name, value in record.items() if value is not None}
        )
    by_prompt = {name: sorted(r["prompt"] for r in of_file) for name, of_file in found.items()}
    both = ["Grüße", "q"]
    assert by_prompt == {
        "000000_0": both,
        "b.orc": [*both[:1] * 2, *both[1:] * 2],
        "c.feather": both,
        "qa:train": both,
        "qa:test": both[:1],
    }
    assert [r.get("score") for r in found["b.orc"] if r["prompt"] == "q"] == [0.5, 0.5]
    assert not any("score" in r for r in found["b.orc"] if r["prompt"] != "q")  # NaN is nothing
    places = {(row.source, row.position) for row in rows}
    assert len(places) == len(rows) == 11  # copies of a row too have places of their own
    assert {row.source for row in rows} == {each.source for each in inputs}


def test_avro_is_refused_by_name_where_its_reader_is_missing(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "part.avro"
    path.write_bytes(AVRO)
    with pytest.raises(UserError, match=r"part\.avro is Avro.*spark-avro_2\.13:\d") as raised:
        find_inputs(spark, (str(path),))
    assert "--set spark.jars.packages=" in str(raised.value)
