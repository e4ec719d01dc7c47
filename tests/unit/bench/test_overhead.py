"""What the overhead suite reads: Spark's event log, and a program that it starts."""

import json

from bench.harness.event_log import SparkWork, read_event_log, read_queries
from bench.harness.programs import run_program

SQL = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart"
TASK = {
    "Event": "SparkListenerTaskEnd",
    "Task Metrics": {"Result Size": 1500, "Shuffle Write Metrics": {"Shuffle Bytes Written": 70}},
}


def test_jobs_queries_stages_and_tasks_are_counted_and_bytes_added(tmp_path):
    events = [
        {"Event": "SparkListenerApplicationStart"},
        {"Event": SQL},
        {"Event": SQL},
        {"Event": "SparkListenerJobStart"},
        {"Event": "SparkListenerStageSubmitted"},  # and never completed
        {"Event": "SparkListenerStageCompleted"},
        TASK,
        TASK,
        {"Event": "SparkListenerTaskEnd"},  # a failed one has no metrics
    ]
    (tmp_path / "local-1").write_text("\n".join(map(json.dumps, events)) + "\n")
    assert read_event_log(tmp_path) == SparkWork(1, 2, 1, 3, 140, 3000)


def test_no_session_did_no_work(tmp_path):
    assert read_event_log(tmp_path) == SparkWork()


def test_queries_come_with_who_asked_their_time_their_jobs_and_their_tasks(tmp_path):
    start = {"Event": SQL, "description": "a.py:7", "physicalPlanDescription": "Scan"}
    end = {"Event": SQL.replace("Start", "End")}
    job = {"Event": "SparkListenerJobStart", "Properties": {"spark.sql.execution.id": "1"}}
    other_job = {"Event": "SparkListenerJobStart", "Stage IDs": [9]}
    task = {"Event": "SparkListenerTaskEnd"}
    events = [
        {**start, "executionId": 0, "time": 5000},
        {**start, "executionId": 1, "time": 6500, "physicalPlanDescription": "MapInArrow x"},
        {**job, "Stage IDs": [3]},
        {**job, "Stage IDs": [4, 5]},
        other_job,  # of no query
        *({**task, "Stage ID": stage} for stage in (3, 5, 5, 9)),
        {**end, "executionId": 1, "time": 6750},
        {**end, "executionId": 0, "time": 7000},
    ]
    (tmp_path / "local-1").write_text("\n".join(map(json.dumps, events)) + "\n")
    one, other = read_queries(tmp_path)
    assert (one.asked, one.since, one.seconds) == ("a.py:7", 0, 2)
    assert (one.jobs, one.tasks, one.has_python) == (0, 0, False)
    assert (other.since, other.seconds) == (1.5, 0.25)
    assert (other.jobs, other.tasks, other.has_python) == (2, 3, True)


def test_a_traced_program_keeps_its_arguments_and_its_exit_code():
    program = run_program(["-m", "bench.harness.call_sites", "jobs.cli", "select", "--nothing"], {})
    assert program.code == 2
    assert "No such option" in program.output


def test_a_program_is_watched_with_its_children_and_slow_imports_are_named(tmp_path):
    (tmp_path / "slow_package.py").write_text("import time\ntime.sleep(0.4)\n")
    work = "sum(i * i for i in range(3 * 10**7))"
    code = f"import slow_package, subprocess, sys; print('done', flush=True); \
subprocess.run([sys.executable, '-c', {work!r}]); sys.exit(3)"
    program = run_program(["-c", code], {"PYTHONPATH": str(tmp_path)})
    assert (program.code, program.output) == (3, "done\n")
    assert program.wall > program.cpu / 2 > 0.1  # of the child, which alone has worked
    assert program.imports["slow_package"] >= 0.4
    assert program.workers == 0
