"""Vectors that the driver cannot hold are refused before they are brought there."""

from pathlib import Path

import pytest

from instructmining.errors import UserError
from jobs.checks import driver_memory
from jobs.checks.driver_memory import refuse_too_many


def test_the_sentence_has_sizes_and_a_remedy() -> None:
    refuse_too_many(1000, 384, "neighbours", "set knn.cells_beyond")
    with pytest.raises(UserError, match=r"neighbours: 10,000,000,000 .* 14305\.1 GiB .*; set knn"):
        refuse_too_many(10_000_000_000, 384, "neighbours", "set knn.cells_beyond")


@pytest.mark.parametrize(("limit", "is_lower"), [("4096", True), ("max", False), (None, False)])
def test_a_container_has_less_than_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, is_lower: bool
) -> None:
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(f"{limit}\n")
    monkeypatch.setattr(driver_memory, "_CONTAINER", file)
    assert (driver_memory.driver_memory() == 4096) is is_lower
