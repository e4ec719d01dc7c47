-- What people ask of a scored store, in Spark SQL; docs/sql.md shows how to run this file.
-- Placeholders, set before the first query: ${store} an absolute folder, ${pool},
-- ${rule} a rule's name.
--   SET store = /home/me/out;  SET pool = default;  SET rule = paper-v1;
-- A store in a schema: USE catalog.schema instead of the two blocks of views below.
-- LOWER predicted_log_loss is better. A null prediction means that an indicator is missing.

-- name: tables
-- The tables of a folder, by their own names for this session.
CREATE OR REPLACE TEMPORARY VIEW scores AS SELECT * FROM delta.`${store}/scores`;
CREATE OR REPLACE TEMPORARY VIEW examples AS SELECT * FROM delta.`${store}/examples`;
CREATE OR REPLACE TEMPORARY VIEW occurrences AS SELECT * FROM delta.`${store}/occurrences`;
CREATE OR REPLACE TEMPORARY VIEW quarantine AS SELECT * FROM delta.`${store}/quarantine`;
CREATE OR REPLACE TEMPORARY VIEW stage_values AS SELECT * FROM delta.`${store}/stage_values`;
CREATE OR REPLACE TEMPORARY VIEW pool_knn AS SELECT * FROM delta.`${store}/pool_knn`;
CREATE OR REPLACE TEMPORARY VIEW fingerprints AS SELECT * FROM delta.`${store}/fingerprints`;

-- name: current_occurrences
-- What sources that were read again hold today; the table of stale records is there from the first edit on.
CREATE OR REPLACE TEMPORARY VIEW occurrences AS SELECT * FROM delta.`${store}/occurrences`
LEFT ANTI JOIN delta.`${store}/stale_occurrences` USING (pool, source, position, example_id);

-- name: evaluation_tables
-- Those of `select`, `fit` and `evaluate`; a view fails where its table is not there yet.
CREATE OR REPLACE TEMPORARY VIEW finetuning_runs AS SELECT * FROM delta.`${store}/finetuning_runs`;
CREATE OR REPLACE TEMPORARY VIEW arms AS SELECT * FROM delta.`${store}/arms`;
CREATE OR REPLACE TEMPORARY VIEW comparisons AS SELECT * FROM delta.`${store}/comparisons`;
CREATE OR REPLACE TEMPORARY VIEW subsets AS SELECT * FROM delta.`${store}/subsets`;

-- name: best_by_source
-- The three best examples of each source.
SELECT source, place, predicted_log_loss, left(prompt, 80) AS prompt, left(response, 80) AS response
FROM (SELECT *, row_number() OVER (PARTITION BY source ORDER BY predicted_log_loss, example_id) AS place
      FROM (SELECT DISTINCT source, example_id FROM occurrences WHERE pool = '${pool}')
      JOIN scores USING (example_id)
      WHERE pool = '${pool}' AND rule_name = '${rule}' AND predicted_log_loss IS NOT NULL)
JOIN examples USING (example_id)
WHERE place <= 3 ORDER BY source, place;

-- name: worst_by_source
-- The three worst examples of each source: read them before you trust the rule.
SELECT source, place, predicted_log_loss, left(prompt, 80) AS prompt, left(response, 80) AS response
FROM (SELECT *, row_number() OVER (PARTITION BY source ORDER BY predicted_log_loss DESC, example_id) AS place
      FROM (SELECT DISTINCT source, example_id FROM occurrences WHERE pool = '${pool}')
      JOIN scores USING (example_id)
      WHERE pool = '${pool}' AND rule_name = '${rule}' AND predicted_log_loss IS NOT NULL)
JOIN examples USING (example_id)
WHERE place <= 3 ORDER BY source, place;

-- name: sources
-- Each source at a glance, the best first; share_in_best_tenth above 0.1 is better than the pool.
SELECT source, count(*) AS examples, count(predicted_log_loss) AS predicted,
  percentile_approx(predicted_log_loss, 0.5) AS median_predicted_log_loss,
  avg(CAST(percentile < 10 AS INT)) AS share_in_best_tenth
FROM (SELECT DISTINCT source, example_id FROM occurrences WHERE pool = '${pool}')
JOIN scores USING (example_id)
WHERE pool = '${pool}' AND rule_name = '${rule}'
GROUP BY source ORDER BY median_predicted_log_loss;

-- name: why_this_score
-- Of the ten best, what each term of the rule contributes; with the intercept they add up.
SELECT example_id, predicted_log_loss,
  map_filter(from_json(to_json(struct(s.*)), 'MAP<STRING, STRING>'),
             (name, value) -> startswith(name, 'contribution_')) AS contributions
FROM scores s WHERE pool = '${pool}' AND rule_name = '${rule}' AND predicted_log_loss IS NOT NULL
ORDER BY predicted_log_loss, example_id LIMIT 10;

-- name: what_became_of_each_record
-- Why was this row dropped? One row per record: example, copy of one, or quarantined and why.
-- Narrow it down with WHERE source LIKE '%my_file%' AND position = 17, or by your own source_key.
SELECT source, position, source_key,
  CASE WHEN place > 1 THEN 'copy of a record above' WHEN s.predicted_log_loss IS NULL
    THEN 'scored, without a prediction' ELSE 'scored' END AS outcome,
  s.missing_reason AS detail, s.percentile, o.example_id
FROM (SELECT *, row_number() OVER (PARTITION BY example_id ORDER BY source, position) AS place
      FROM occurrences WHERE pool = '${pool}') o
LEFT JOIN (SELECT * FROM scores WHERE pool = '${pool}' AND rule_name = '${rule}') s USING (example_id)
UNION ALL
SELECT source, position, NULL, concat('quarantined: ', reason), detail, NULL, NULL FROM quarantine
ORDER BY source, position;

-- name: quarantine_by_reason
-- Unusable records by source and reason, with one of them to look at.
SELECT source, reason, count(*) AS records, min(position) AS first_position,
  min_by(left(raw, 80), position) AS first_record
FROM quarantine GROUP BY source, reason ORDER BY records DESC, source, reason;

-- name: copies
-- The texts that are there most often, and where.
SELECT example_id, count(*) AS records, count(DISTINCT source) AS sources,
  array_sort(collect_set(source)) AS in_sources, min(left(prompt, 80)) AS prompt
FROM occurrences JOIN examples USING (example_id)
WHERE pool = '${pool}' GROUP BY example_id HAVING count(*) > 1
ORDER BY records DESC, example_id LIMIT 50;

-- name: near_duplicates
-- Examples whose nearest neighbour in the pool is very close (cosine = 1 - distance² / 2).
SELECT example_id, distances[0] AS distance, 1 - power(distances[0], 2) / 2 AS cosine,
  left(prompt, 80) AS prompt, left(response, 80) AS response
FROM pool_knn JOIN examples USING (example_id)
WHERE pool = '${pool}' AND distances[0] < 0.3
ORDER BY distance, example_id LIMIT 100;

-- name: out_of_range
-- Examples that the rule extrapolates for: an indicator is outside of what it was fitted on.
SELECT example_id, predicted_log_loss, percentile, input_length, output_length, reward, perplexity,
  mtld, knn_6
FROM scores WHERE pool = '${pool}' AND rule_name = '${rule}' AND out_of_range
ORDER BY predicted_log_loss LIMIT 100;

-- name: rule_comparison
-- What another rule would think: the examples whose place in the pool changes most.
SELECT a.example_id, a.rule_name AS rule, b.rule_name AS other_rule, a.percentile,
  b.percentile AS other_percentile, b.percentile - a.percentile AS moved
FROM scores a JOIN scores b USING (pool, example_id)
WHERE pool = '${pool}' AND a.rule_name = '${rule}' AND b.rule_name <> '${rule}'
  AND a.percentile IS NOT NULL AND b.percentile IS NOT NULL
ORDER BY abs(b.percentile - a.percentile) DESC, a.example_id LIMIT 50;

-- name: rule_agreement
-- How far two rules agree on the pool: correlation of places, share of the best tenth in common.
SELECT a.rule_name AS rule, b.rule_name AS other_rule, count(*) AS examples,
  corr(a.percentile, b.percentile) AS correlation,
  sum(CAST(a.percentile < 10 AND b.percentile < 10 AS INT)) / sum(CAST(a.percentile < 10 AS INT))
    AS best_tenth_in_common
FROM scores a JOIN scores b USING (pool, example_id)
WHERE pool = '${pool}' AND a.rule_name = '${rule}' AND b.rule_name <> '${rule}'
  AND a.percentile IS NOT NULL AND b.percentile IS NOT NULL
GROUP BY a.rule_name, b.rule_name;

-- name: drift_between_pools
-- Medians of the indicators, pool by pool (each week its own pool shows drift).
SELECT pool, count(*) AS examples, percentile_approx(input_length, 0.5) AS input_length,
  percentile_approx(output_length, 0.5) AS output_length, percentile_approx(reward, 0.5) AS reward,
  percentile_approx(perplexity, 0.5) AS perplexity, percentile_approx(mtld, 0.5) AS mtld,
  percentile_approx(knn_6, 0.5) AS knn_6,
  percentile_approx(predicted_log_loss, 0.5) AS predicted_log_loss
FROM scores WHERE rule_name = '${rule}' GROUP BY pool ORDER BY pool;

-- name: drift_between_runs
-- What each run measured: middle and tails of every indicator, by run and model fingerprint.
SELECT max(written_at) AS written_at, run_id, stage, fingerprint, indicator, count(*) AS examples,
  percentile_approx(value, 0.05) AS low, percentile_approx(value, 0.5) AS median,
  percentile_approx(value, 0.95) AS high
FROM stage_values LATERAL VIEW explode(`values`) v AS indicator, value
GROUP BY run_id, stage, fingerprint, indicator ORDER BY indicator, written_at, run_id;

-- name: failed_and_cut
-- Rows that a model failed on, or read only in part.
SELECT v.stage, f.source AS model, v.status, v.reason, count(*) AS examples,
  count_if(v.truncated_tokens > 0) AS cut, sum(v.truncated_tokens) AS tokens_cut_away
FROM stage_values v LEFT JOIN fingerprints f USING (fingerprint)
GROUP BY v.stage, f.source, v.status, v.reason ORDER BY v.stage, v.status;

-- name: tokens_per_source
-- Tokens to train on by source, and those of the better half of the pool.
SELECT source, count(*) AS examples, CAST(sum(output_length) AS BIGINT) AS response_tokens,
  CAST(sum(input_length + output_length) AS BIGINT) AS tokens,
  CAST(sum(CASE WHEN percentile < 50 THEN input_length + output_length ELSE 0 END) AS BIGINT)
    AS tokens_of_the_better_half
FROM (SELECT DISTINCT source, example_id FROM occurrences WHERE pool = '${pool}')
JOIN scores USING (example_id)
WHERE pool = '${pool}' AND rule_name = '${rule}'
GROUP BY source ORDER BY tokens DESC;

-- name: missing
-- Examples without a prediction, and why.
SELECT missing_reason, count(*) AS examples FROM scores
WHERE pool = '${pool}' AND rule_name = '${rule}' AND missing_reason IS NOT NULL
GROUP BY missing_reason ORDER BY examples DESC;

-- name: finetuning_runs
-- Finetuned models, what they learned from and their loss on each evaluation set.
SELECT purpose, subset, seed, base, evaluation_set, loss, examples, tokens, seconds
FROM finetuning_runs LATERAL VIEW explode(losses) l AS evaluation_set, loss
WHERE status = 'ok' ORDER BY purpose, evaluation_set, loss;

-- name: arms
-- Of an evaluation, each arm's mean loss over its seeds: lower is better.
SELECT a.run_id, a.pool, a.arm, evaluation_set, count(*) AS seeds, avg(loss) AS loss,
  stddev(loss) AS sd
FROM arms a JOIN (
  SELECT run_key, evaluation_set, loss
  FROM finetuning_runs LATERAL VIEW explode(losses) l AS evaluation_set, loss
  WHERE status = 'ok') USING (run_key)
GROUP BY a.run_id, a.pool, a.arm, evaluation_set ORDER BY evaluation_set, loss;

-- name: verdicts
-- Whether the selection won, in words, with the interval of the difference.
SELECT written_at, run_id, pool, evaluation, arm, rival, n, difference, low, high, p_adjusted, verdict
FROM comparisons ORDER BY written_at, run_id, evaluation, arm, rival;

-- name: subset_sources
-- Where the examples of each subset come from.
SELECT subset, source, count(*) AS examples
FROM subsets JOIN (
  SELECT DISTINCT source, example_id FROM occurrences WHERE pool = '${pool}') USING (example_id)
GROUP BY subset, source ORDER BY subset, examples DESC;
