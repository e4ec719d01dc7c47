"""Views of a store in a schema: what people ask most, so that nobody has to know the joins.

A folder has no place for views; there `docs/queries.sql` holds the same questions.
"""

from collections.abc import Mapping

from instructmining.store.tables import Store

_RECORDS = """
SELECT pool, source, position, source_key, example_id,
  CASE WHEN place > 1 THEN 'copy' ELSE 'example' END AS outcome,
  CAST(NULL AS STRING) AS reason, CAST(NULL AS STRING) AS detail
FROM (SELECT *, row_number() OVER (PARTITION BY pool, example_id ORDER BY source, position) AS place
      FROM {occurrences})
UNION ALL
SELECT CAST(NULL AS STRING), source, position, CAST(NULL AS STRING), CAST(NULL AS STRING),
  'quarantined', reason, detail
FROM {quarantine}"""

_SOURCES = """
SELECT s.pool, s.rule_name, s.rule_version, o.source, count(*) AS examples,
  count(s.predicted_log_loss) AS predicted,
  percentile_approx(s.predicted_log_loss, 0.5) AS median_predicted_log_loss,
  avg(CAST(s.percentile < 10 AS INT)) AS share_in_best_tenth,
  CAST(sum(s.input_length + s.output_length) AS BIGINT) AS tokens
FROM {scores} s JOIN (SELECT DISTINCT pool, example_id, source FROM {occurrences}) o
  USING (pool, example_id)
GROUP BY s.pool, s.rule_name, s.rule_version, o.source"""

_SCORED = """
SELECT s.*, e.prompt, e.response, e.format
FROM {scores} s JOIN {examples} e USING (example_id)"""

# Once a source was edited: the occurrences that stand in their sources today.
_CURRENT = """(SELECT * FROM {occurrences}
  LEFT ANTI JOIN {stale} USING (pool, source, position, example_id))"""

# By name: the tables it reads, and the query with their names to be filled in.
VIEWS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "scored_examples": (("scores", "examples"), _SCORED),
    "scored_sources": (("scores", "occurrences"), _SOURCES),
    "records": (("occurrences", "quarantine"), _RECORDS),
}


def create_views(store: Store) -> None:
    """Make, or renew, the views whose tables are there; nothing happens in a folder.

    They show what the sources hold today.
    """
    for name, (tables, query) in VIEWS.items():
        if not store.is_folder and all(store.exists(table) for table in tables):
            names = {table: store.sql_name(table) for table in tables}
            if "occurrences" in names and store.exists("stale_occurrences"):
                stale = store.sql_name("stale_occurrences")
                names["occurrences"] = _CURRENT.format(stale=stale, **names)
            store.create_view(name, query.format(**names))
