"""Score instruction data: check → read → measure what is missing → neighbours → rule → tables."""

import shlex
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from instructmining.errors import UserError
from instructmining.models.lists import COLUMN, IMPORTED, ModelList
from instructmining.reading.ingest import ingest
from instructmining.reading.inputs import find_inputs
from instructmining.rules.canary import metrics_of
from instructmining.scoring.overview import extrapolated, overview
from instructmining.scoring.scores import score_pool, scores_of
from instructmining.scoring.summary import Summary
from instructmining.settings.sections import Read, Settings
from instructmining.store.current import stale_examples
from instructmining.store.planning import (
    measured_counts,
    members,
    pool_examples,
    pool_version,
)
from instructmining.store.tables import Store
from instructmining.tracking.mlflow_runs import Run, log_run, without_credentials
from jobs.cascading.run import predict_rest
from jobs.cascading.sampled import check_cascades, measured_by_all
from jobs.checks.preflight import preflight
from jobs.checks.resources import check_gpus
from jobs.scoring.asked_stages import chosen_stages, needed_models
from jobs.scoring.canary import measure_canary, preferences_in, stored_pairs
from jobs.scoring.drift import refuse_drift
from jobs.scoring.failures import refuse_failures
from jobs.scoring.measuring import measure, timed, with_counts
from jobs.scoring.record import record_run
from jobs.scoring.rule_choice import RuleChoice, rule_for
from jobs.scoring.stages import Pool, after, run_knn
from jobs.selecting.marks import best_above_floor
from jobs.selecting.text_features import store_text_features
from udfs.indicators import models_of, resolve

_SOURCES_NAMED = 3
_AT_HAND = 1_000_000  # rows whose scores are kept while the summary asks for them


def run(spark: SparkSession, settings: Settings) -> Summary:
    """Score, print the summary and return it.

    Raises:
        UserError: a mistake in the settings or the data, before or while they are read.
        FailedRowsError: more rows failed than `measure.max_failed_fraction` allows; everything
            measured is stored and the summary is printed first.
        DriftError: likewise, see `fail_on_drift`.
    """
    store = Store.open(spark, settings.store)
    models = models_of(settings.models, settings.indicators, settings.indicator_version)
    read = with_columns(settings.read, models)
    settings = settings.model_copy(update={"read": read})
    chosen = chosen_stages(settings.stages, models)
    check_cascades(settings.cascade, models)
    needed = needed_models(settings.stages, models, chosen)
    resolved = {s: resolve(models.stages[s], settings.tracking) for s in needed}
    choice = None
    if "rule" in settings.stages:
        choice = rule_for(models, resolved, settings.rule, settings.knn, settings.tracking)
    check_gpus(dict(spark.conf.getAll), settings.measure)  # wrong ones hang the first Spark job
    reads = "ingest" in settings.stages
    inputs, left_out = find_inputs(spark, settings.input) if reads else ([], [])
    notes = preflight(spark, store, settings, inputs, resolved, chosen)
    with log_run(settings.tracking, f"score {settings.pool}") as tracked, ExitStack() as stack:
        summary = Summary(
            store, settings.pool, tracked.id, tracking=without_credentials(settings.tracking.uri)
        )
        summary.warnings += [*models.notes, *notes]
        if reads:
            summary.ingested = timed(
                summary, "ingest", lambda: ingest(store, settings, inputs, left_out, tracked.id)
            )
        summary.warnings += edited(store, settings.pool)
        pool = open_pool(store, settings.pool, stack)
        if summary.ingested is not None:
            summary.ingested = summary.ingested.of_pool(pool.size)
        counts = measured_counts(store, pool.members)
        results = measure(store, pool, resolved, chosen, counts, settings, tracked, summary)
        if summary.measured_rows:
            counts = measured_counts(store, pool.members, tracked.id)
            results = [with_counts(result, resolved, counts) for result in results]
            summary.measured_rows = sum(result.rows for result in results)
        if "knn" in settings.stages and "embed" in resolved:
            embedded = resolved["embed"]
            knn = partial(run_knn, store, embedded, pool, settings.knn, settings.files, tracked.id)
            results.append(timed(summary, "knn", knn))
        summary.stages |= {result.stage: result.words() for result in results}
        if choice is not None:
            if settings.cascade.shares:
                cascade = partial(
                    predict_rest, store, pool, choice, counts, settings.cascade, tracked.id
                )
                choice, summary.stages["cascade"] = timed(summary, "cascade", cascade)
            apply_rule(store, pool, choice, tracked, summary, stack)
            if settings.select.floor == "on" and summary.scores is not None:
                texts = partial(store_text_features, store, pool.members, tracked.id)
                summary.stages["texts"] = f"{timed(summary, 'texts', texts):,} rows"
                summary.best = best_above_floor(
                    store, summary.scores, settings.floor, settings.models
                )
            whole = measured_by_all(pool, settings.cascade)
            spoil = partial(
                measure_canary,
                store,
                whole,
                resolved,
                choice.measured,
                settings.canary.rows,
                settings.measure,
                after(settings.endpoint, results),
                tracked.id,
            )
            wanted = settings.canary.rows and chosen
            try_canary(store, pool.name, choice, spoil if wanted else None, tracked, summary)
        print(summary.text())
        record_run(tracked, summary, settings, resolved, results)
        models_used = {stage: resolved[stage] for stage in chosen}
        refuse_failures(counts, models_used, settings.measure.max_failed_fraction)
        if settings.fail_on_drift is not None:
            fingerprints = [model.fingerprint for model in resolved.values()]
            refuse_drift(store, pool, fingerprints, settings.fail_on_drift, tracked.id)
    return summary


def open_pool(store: Store, name: str, stack: ExitStack) -> Pool:
    """The pool's members, kept at hand until the stack closes.

    Raises:
        UserError: the pool is empty.
    """
    at = store.version("occurrences")
    rows = members(store, name, at).persist()
    stack.callback(rows.unpersist)
    size = rows.count()
    if not size:
        raise UserError(
            f"pool {name!r} in {store.target} is empty: give --input, or another --pool"
        )
    examples = pool_examples(store, rows)
    return Pool(name, rows, examples, lambda: refuse_if_changed(store, name, rows, at), size)


def refuse_if_changed(store: Store, name: str, known: DataFrame, at: int) -> None:
    """Refuse to replace what another run, which knows more of the pool, may have written.

    Args:
        store: where the tables are.
        name: of the pool.
        found: its members as this run knows them.
        at: the version of the table `occurrences` that they were read at.

    Raises:
        UserError: the pool has other members now.
    """
    now = store.version("occurrences")
    if now == at or pool_version(members(store, name, now), True) == pool_version(known, True):
        return
    raise UserError(
        f"another run changed pool {name!r} in {store.target} meanwhile: what this one measured is "
        "stored; run the same command again to score the whole pool"
    )


def with_columns(read: Read, models: ModelList) -> Read:
    """How to read, with the columns of imported indicators among those that are kept."""
    specs = (spec for spec in models.stages.values() if spec.kind == IMPORTED)
    columns = [spec.source.removeprefix(COLUMN) for spec in specs]
    keep = dict.fromkeys([*read.keep, *columns])
    return read.model_copy(update={"keep": tuple(keep)})


def apply_rule(
    store: Store,
    pool: Pool,
    choice: RuleChoice,
    tracked: Run,
    summary: Summary,
    stack: ExitStack,
) -> None:
    """Write the scores, and say where the rule's models differ."""
    rule = choice.rule
    mismatches = choice.mismatches
    timed(
        summary,
        "rule",
        lambda: score_pool(
            store,
            pool.members,
            pool.name,
            rule,
            choice.measured,
            not mismatches,
            tracked.id,
            pool.check,
        ),
    )
    summary.rule, summary.rule_why = rule, choice.why
    summary.scores = scores_of(store, pool.name, rule)
    if pool.size <= _AT_HAND:
        summary.scores.persist()
        stack.callback(summary.scores.unpersist)
    summary.overview = overview(summary.scores, rule)
    summary.warnings += choice.notes
    summary.warnings += extrapolated(summary.overview, rule)
    tracked.log_rule(rule, choice.why, mismatches)


def try_canary(
    store: Store,
    pool: str,
    choice: RuleChoice,
    measure_pairs: Callable[[], str] | None,
    tracked: Run,
    summary: Summary,
) -> None:
    """Say in how many pairs the rule prefers a real row to its spoiled copy.

    Args:
        store: has the pairs.
        pool: its name.
        choice: the rule.
        measure_pairs: spoils rows and measures them, where the store has no pairs yet; None: only
            what is stored is asked.
        tracked: the run.
        summary: gets the answer.
    """
    pairs = stored_pairs(store, pool, choice.measured)
    tried = summary.overview is not None and summary.overview.predicted
    if measure_pairs is not None and tried:
        words = "0 spoiled rows measured"
        if not pairs:
            words = timed(summary, "canary", measure_pairs)
            pairs = stored_pairs(store, pool, choice.measured)
        summary.seconds.setdefault("canary", 0.0)
        summary.stages["canary"] = words
    summary.canary = preferences_in(pairs, choice.rule)
    tracked.log_canary(choice.rule, metrics_of(summary.canary))


def edited(store: Store, pool: str) -> list[str]:
    """A sentence where sources do not hold any more what they held when they were read before."""
    stale = stale_examples(store, pool)
    if not stale:
        return []
    count = sum(row.examples for row in stale)
    named = ", ".join(f"{row.source} {row.examples:,}" for row in stale[:_SOURCES_NAMED])
    more = f", and {len(stale) - _SOURCES_NAMED:,} more" if len(stale) > _SOURCES_NAMED else ""
    remedy = ["instructmining", "maintain", "--store", store.target, "--retire", "--pool", pool]
    return [
        f"{count:,} examples of the pool are no longer in the data, which was edited ({named}"
        f"{more}): `select` leaves them out (--all takes them), distances and percentiles count "
        f"them; `{shlex.join(remedy)}` drops them"
    ]
