"""docs/monitoring.sql, the dashboard and the alerts: one set of queries, on tables that exist.

The queries run in DuckDB on rows of the data contract; tests/spark/store/test_queries.py runs them
in Spark on the scored sample.
"""

import json
import re

import duckdb
import pytest
from bundle import RESOURCES, ROOT

from instructmining.store.queries import read_queries
from instructmining.store.schemas import TABLES
from instructmining.store.views import VIEWS

alerts = pytest.importorskip("databricks.bundles.alerts", reason="the extra [dev] is missing")
dashboards = pytest.importorskip("databricks.bundles.dashboards")

QUERIES = {
    name: statement
    for name, (statement,) in read_queries(
        str(ROOT / "docs" / "monitoring.sql"), "out", "default", "paper-v1"
    ).items()
}
DASHBOARD = json.loads((ROOT / "resources" / "instructmining.lvdash.json").read_text("utf-8"))
COLUMNS_OF_VIEWS = {
    "records": "pool, source, position, source_key, example_id, outcome, reason, detail",
    "scored_sources": "pool, rule_name, rule_version, source, examples, predicted, "
    "median_predicted_log_loss, share_in_best_tenth, tokens",
}
TYPES = {"predicted_log_loss": "DOUBLE", "out_of_range": "BOOLEAN", "moved": "DOUBLE"}


@pytest.fixture(scope="module")
def database():
    connection = duckdb.connect()
    for table in ("scores", "drift"):
        columns = (f"{name} {TYPES.get(name, 'VARCHAR')}" for name in TABLES[table].names)
        connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
    for view, columns in COLUMNS_OF_VIEWS.items():
        typed = ", ".join(f"{name} VARCHAR" for name in columns.split(", "))
        connection.execute(f"CREATE TABLE {view} ({typed})")
    connection.execute("""
        INSERT INTO scores
          (pool, rule_name, rule_version, predicted_log_loss, missing_reason, out_of_range)
        VALUES ('p', 'r', '1', 0.5, NULL, true), ('p', 'r', '1', NULL, 'reward: empty', NULL);
        INSERT INTO records (source, outcome, reason) VALUES
        ('日本', 'example', NULL), ('日本', 'copy', NULL), ('日本', 'quarantined', 'empty'),
        ('日本', 'quarantined', 'empty'), ('b', 'example', NULL);
        INSERT INTO drift (pool, indicator, compared_at, moved) VALUES
        ('p', 'reward', '2026-01-01', 0.9), ('p', 'reward', '2026-01-02', 0.1),
        ('q', 'reward', '2026-01-01', 0.2)""")
    return connection


def rows(database, name):
    found = database.execute(QUERIES[name])
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_shares_are_counted(database):
    worst, other = rows(database, "quarantine_share")
    assert (worst["source"], worst["records"], worst["quarantined"]) == ("日本", 4, 2)
    assert (float(worst["quarantine_share"]), float(other["quarantine_share"])) == (0.5, 0.0)
    [pool] = rows(database, "pools")
    assert float(pool["unpredicted_share"]) == 0.5
    assert float(pool["out_of_range_share"]) == 0.5
    assert [row["moved"] for row in rows(database, "latest_drift")] == [0.2, 0.1]
    assert rows(database, "quarantine_reasons")[0]["records"] == 2
    assert rows(database, "missing")[0]["missing_reason"] == "reward: empty"


def test_the_views_have_the_columns_that_the_queries_read():
    for view, columns in COLUMNS_OF_VIEWS.items():
        query = VIEWS[view][1]
        assert all(column in query for column in columns.split(", "))


def test_the_dashboard_asks_the_queries_and_shows_columns_that_they_have(database):
    datasets = {each["name"]: "".join(each["queryLines"]) for each in DASHBOARD["datasets"]}
    widgets = [each["widget"] for page in DASHBOARD["pages"] for each in page["layout"]]
    assert len({widget["name"] for widget in widgets}) == len(widgets)
    used = set()
    for widget in widgets:
        [asked] = widget["queries"]
        name = asked["query"]["datasetName"]
        used.add(name)
        known = [column[0] for column in database.execute(QUERIES[name]).description]
        fields = [field["name"] for field in asked["query"]["fields"]]
        assert set(fields) <= set(known), widget["name"]
        assert [f"`{field}`" for field in fields] == [
            field["expression"] for field in asked["query"]["fields"]
        ]
        shown = set(re.findall(r'"fieldName": "(\w+)"', json.dumps(widget["spec"])))
        assert shown == set(fields), widget["name"]
    assert used == set(datasets)
    for name, text in datasets.items():
        assert same(text) == same(QUERIES[name])


def test_widgets_do_not_overlap():
    [page] = DASHBOARD["pages"]
    taken = [
        (x, y)
        for place in (each["position"] for each in page["layout"])
        for x in range(place["x"], place["x"] + place["width"])
        for y in range(place["y"], place["y"] + place["height"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 6  # columns of the grid


@pytest.mark.parametrize("key", RESOURCES["alerts"])
def test_an_alert_asks_one_of_the_queries_for_a_column_that_it_has(database, key):
    given = RESOURCES["alerts"][key]
    alerts.Alert.from_dict(given)
    with pytest.raises(ValueError, match="quary"):
        alerts.Alert.from_dict({**given, "quary": ""})
    text = given["query_text"].replace("${var.catalog}.${var.schema}.", "")
    [name] = [name for name, query in QUERIES.items() if same(query) == same(text)]
    column = given["evaluation"]["source"]["name"]
    assert column in [each[0] for each in database.execute(QUERIES[name]).description]


def test_the_dashboard_of_the_bundle_is_the_file():
    [given] = RESOURCES["dashboards"].values()
    dashboards.Dashboard.from_dict(given)
    assert (ROOT / "resources" / given["file_path"]).is_file()


def same(text):
    lines = (line for line in text.splitlines() if not line.startswith("--"))
    return " ".join(" ".join(lines).replace(";", " ").split())
