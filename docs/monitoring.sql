-- How a store is doing, for dashboards: Grafana, Superset, Databricks; docs/sql.md.
-- Plain SQL over the tables and views of a schema, without placeholders: set catalog and schema in
-- the connection, and let the dashboard filter by pool, rule or source.
-- LOWER predicted_log_loss is better.

-- name: quarantine_share
-- Records that cannot be used, by source.
SELECT source, count(*) AS records,
  sum(CASE WHEN outcome = 'quarantined' THEN 1 ELSE 0 END) AS quarantined,
  avg(CASE WHEN outcome = 'quarantined' THEN 1.0 ELSE 0.0 END) AS quarantine_share
FROM records GROUP BY source ORDER BY quarantine_share DESC, source;

-- name: quarantine_reasons
-- Why they cannot be used.
SELECT reason, source, count(*) AS records
FROM records WHERE outcome = 'quarantined' GROUP BY reason, source ORDER BY records DESC, reason, source;

-- name: pools
-- Each pool under each rule: examples, the share without a prediction, out of the rule's range.
SELECT pool, rule_name, rule_version, count(*) AS examples,
  count(predicted_log_loss) AS predicted,
  avg(CASE WHEN predicted_log_loss IS NULL THEN 1.0 ELSE 0.0 END) AS unpredicted_share,
  avg(CASE WHEN out_of_range THEN 1.0 ELSE 0.0 END) AS out_of_range_share,
  avg(predicted_log_loss) AS mean_predicted_log_loss
FROM scores GROUP BY pool, rule_name, rule_version ORDER BY pool, rule_name, rule_version;

-- name: missing
-- Why examples have no prediction.
SELECT pool, rule_name, missing_reason, count(*) AS examples
FROM scores WHERE missing_reason IS NOT NULL
GROUP BY pool, rule_name, missing_reason ORDER BY examples DESC, pool, rule_name, missing_reason;

-- name: sources
-- Each source of a pool, the best first; above 0.1 it is better than the pool.
SELECT pool, rule_name, rule_version, source, examples, median_predicted_log_loss,
  share_in_best_tenth, tokens
FROM scored_sources ORDER BY pool, rule_name, median_predicted_log_loss;

-- name: drift
-- How far each indicator moved, by comparison of `score --fail-on-drift`.
SELECT pool, indicator, compared_at, old_examples, new_examples, old_median, new_median, moved
FROM drift ORDER BY compared_at DESC, moved DESC, pool, indicator;

-- name: latest_drift
-- The last comparison of each pool.
SELECT pool, indicator, compared_at, moved
FROM drift JOIN (SELECT pool, max(compared_at) AS compared_at FROM drift GROUP BY pool) AS newest
  USING (pool, compared_at)
ORDER BY moved DESC, pool, indicator;
