"""The table of the archive's bench: medians, and the ratio inside each repeat."""

from rich.console import Console

from bench.harness.programs import Program
from bench.speed.class_archive import table


def test_a_ratio_is_that_of_one_repeat():
    def runs(*cpu: float) -> list[Program]:
        return [Program(0, "", 10 * each, each, 0, {}, {}) for each in cpu]

    found = {("select", "with"): runs(2, 30, 5), ("select", "without"): runs(4, 40, 8)}
    console = Console(width=120, record=True)
    console.print(table(found))
    row = next(line for line in console.export_text().splitlines() if "select" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    ratio = "0.62 (0.50 to 0.75)"
    assert cells == ["select", "5.0", "8.0", ratio, "50.0", "80.0", ratio]
