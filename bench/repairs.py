"""Defects that a review found: what they did, what happens now, and the test that holds it.

python -m bench.repairs             # the table; what costs no Spark is computed
python -m bench.repairs --tests     # and runs the tests, which takes many minutes
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from instructmining.erasing.traces import Trace, verdict
from instructmining.errors import UserError
from instructmining.reading.sniffing import Kind
from instructmining.reading.splitting import split
from instructmining.settings.loading import load_settings
from instructmining.spark.local_settings import JAVA_OPTIONS
from instructmining.spark.process_log import log_path
from jobs.scoring.provenance import tolerance
from udfs.indicators import load_model_list

ROOT = Path(__file__).parents[1]


class Repair(NamedTuple):
    """One defect: what was seen, what is seen now, and where it is tested."""

    name: str
    before: str
    now: str | Callable[[], str]
    test: str  # as pytest takes it

    def shown(self) -> str:
        """What happens now."""
        return self.now if isinstance(self.now, str) else self.now()


def two_models_for_one_indicator() -> str:
    """What is said of a list in which two entries measure `mtld`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "two.yml"
        path.write_text(
            "name: two\nmtld: {kind: mtld, indicators: [mtld]}\n"
            "classifiers:\n  diversity: {kind: mtld, indicators: [mtld]}\n",
            encoding="utf-8",
        )
        try:
            load_model_list(str(path))
        except UserError as error:
            return "refused: " + str(error).partition(": ")[2]
    return "accepted"


def drift_of_float32() -> str:
    """The relative difference of perplexities that is admitted, by dtype."""
    plain = tolerance("perplexity", ["float32"])
    coarse = tolerance("perplexity", ["float32", "bfloat16"])
    return f"{plain:g} between float32 values, {coarse:g} where one is bfloat16"


def null_over_a_value() -> str:
    """What is left of a value in the file after null in `--set`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.yml"
        path.write_text("fit: {budget_minutes: 30}\n", encoding="utf-8")
        settings = load_settings(str(path), ["fit.budget_minutes=null"])
    return f"fit.budget_minutes is {settings.fit.budget_minutes}"


def pages_of_other_examples() -> str:
    """What is said of a page about an example whose beginnings agree with an erased one."""
    prompt = "Rewrite the following sentence in the passive voice: The {} chased the {}."
    response = "Sure! Here is the sentence in the passive voice: The {} was chased by the {}."
    erased = Trace.of("0" * 32, [prompt.format("cat", "mouse"), response.format("mouse", "cat")])
    page = f"<p>{prompt.format('dog', 'ball')}</p><p>{response.format('ball', 'dog')}</p>"
    return f"the page {verdict(page, [erased]) or 'does not hold it'}, and stays"


def malformed_arrays() -> str:
    """Seconds for the two arrays of the review."""
    cut = "[" + ",".join(['{"instruction": "q", "output": "' + "some " * 42] * 2_000)
    nested = "[" + '{"a": {"b": "x"' * 8_000
    shown = []
    for text in (cut, nested):
        started = time.perf_counter()
        records = sum(1 for _ in split(io.BytesIO(text.encode()), Kind("array")))
        seconds = time.perf_counter() - started
        shown.append(f"{len(text) / 1000:.0f} KB in {seconds:.2f} s ({records:,} rows)")
    return "; ".join(shown)


REPAIRS = (
    Repair(
        "1 two models for one indicator",
        "scores.mtld is the larger of both; null rows get the other model's 0.0",
        two_models_for_one_indicator,
        "tests/unit/models/test_models.py::"
        "test_a_list_that_contradicts_itself_is_refused_by_the_entries_that_do",
    ),
    Repair(
        "1 values are read by their own model's rows",
        "99.0 instead of 41.5",
        "read by the fingerprint of the indicator's stage",
        "tests/spark/rules/test_rule_columns.py::"
        "test_an_indicator_is_read_from_its_own_model_s_rows_whatever_else_was_stored",
    ),
    Repair(
        "2 drift between float32 values",
        "7 % of a perplexity is admitted",
        drift_of_float32,
        "tests/spark/scoring/test_provenance.py::"
        "test_a_drift_of_one_percent_is_refused_in_float32_and_admitted_from_bfloat16",
    ),
    Repair(
        "3 null over a value",
        "fit.budget_minutes stays 30",
        null_over_a_value,
        "tests/unit/settings/test_settings.py::"
        "test_null_puts_a_setting_back_to_its_default_in_a_file_and_in_a_set",
    ),
    Repair(
        "4 a damaged row without torch",
        "ModuleNotFoundError ends the task",
        "the row alone has no value",
        "tests/unit/running/test_batching.py::"
        "test_a_failing_row_costs_only_itself_where_torch_is_not_installed",
    ),
    Repair(
        "5 resumed on another number of slots",
        "said to be the same computation",
        "said to be equal within 1e-6, and compared",
        "tests/spark/scoring/test_invariance.py::"
        "test_a_run_on_one_slot_that_is_resumed_on_four_has_the_numbers_of_either",
    ),
    Repair(
        "6 erase and pages of other examples",
        "deleted where 40 characters agree",
        pages_of_other_examples,
        "tests/unit/erasing/test_traces.py::test_beginnings_that_agree_are_no_proof",
    ),
    Repair(
        "6 erase outside the store",
        "pages and artifacts are deleted unasked",
        "listed with a command; deleted only with --delete-elsewhere",
        "tests/unit/erasing/test_erase_elsewhere.py::"
        "test_without_the_flag_nothing_is_deleted_and_the_named_commands_do_it",
    ),
    Repair(
        "7 log of two runs",
        "one file in /tmp, truncated by the second",
        lambda: f"one per process, such as {log_path().name}",
        "tests/unit/session/test_process_log.py::"
        "test_two_processes_have_two_logs_that_only_the_user_reads",
    ),
    Repair(
        "8 an export of several layouts",
        "one file of mixed lines",
        "messages, or a file per layout with --as original",
        "tests/spark/selecting/test_select_job.py::"
        "test_records_of_several_layouts_become_messages_in_one_file",
    ),
    Repair(
        "9 malformed arrays",
        "490 KB in 27 s; 140 KB in 70 s",
        malformed_arrays,
        "tests/unit/reading/test_linear_time.py",
    ),
    Repair(
        "10 gathering vectors",
        "a shuffle of all vectors for every 100,000",
        "each vector is shuffled once; parts are cut out of the scan",
        "tests/spark/neighbors/test_neighbors.py::test_four_parts_shuffle_what_one_does",
    ),
    Repair(
        "11 10,000 input files",
        "one request after another",
        "one request for each file, 32 at once",
        "tests/spark/reading/test_reading.py::"
        "test_the_driver_asks_once_for_each_file_and_for_many_at_once",
    ),
    Repair(
        "12 the local JVM's code cache",
        "48 MB: 225 CPU s, 21 of them the sweeper's (decision 36); 170 with the room of today",
        lambda: JAVA_OPTIONS,
        "tests/spark/cluster/test_session.py::"
        "test_a_local_session_has_room_for_the_code_that_spark_and_delta_compile",
    ),
    Repair(
        "13 a driver out of memory",
        "names spark.driver.memory, which nothing sets",
        "--set spark.driver.memory=6g, and the message says so",
        "tests/spark/cluster/test_starting.py::"
        "test_a_driver_has_the_memory_that_was_set_and_says_how_to_raise_it",
    ),
    Repair(
        "14 a cluster that does not answer",
        "Cannot call methods on a stopped SparkContext",
        "names the master, and a log only where it is",
        "tests/spark/cluster/test_starting.py::test_a_master_that_does_not_answer_is_named",
    ),
    Repair(
        "15 private operators of torch",
        "a torch that renames one ends every score on a CPU",
        "tried first; else torch's own layers",
        "tests/unit/running/test_cpu.py::"
        "test_where_an_operator_of_torch_is_gone_or_another_a_model_keeps_its_layers",
    ),
    Repair(
        "16 a cell that nobody asks in",
        "reshape error",
        "no rows",
        "tests/unit/on_spark/test_arrow.py",
    ),
)


def main() -> None:
    """Print the table; with `--tests` run the tests, and exit 1 where one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="run the tests as well")
    chosen = parser.parse_args()
    table = Table(title="defects of the second review", title_justify="left", show_lines=True)
    for heading in ("what", "before", "now", "test"):
        table.add_column(heading, overflow="fold")
    for repair in REPAIRS:
        table.add_row(repair.name, repair.before, repair.shown(), repair.test.rpartition("/")[2])
    Console(width=140).print(table)
    if chosen.tests:
        sys.exit(run_tests())


def run_tests() -> int:
    """The exit code of pytest over all tests of the table."""
    names = list(dict.fromkeys(repair.test for repair in REPAIRS))
    command = [sys.executable, "-m", "pytest", "-q", "-m", "slow or not slow", *names]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    main()
