"""Select a subset: scored pool → strategy, quotas, diversity → store, export, dataset card."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from instructmining.errors import UserError
from instructmining.hub.folders import front_matter, write_folder
from instructmining.rules.registry import load_rule
from instructmining.rules.rule import LinearRule, built_in_rules
from instructmining.scoring.scores import Measured, scores_of
from instructmining.selecting.card import Card
from instructmining.selecting.export_files import Written, write
from instructmining.selecting.export_pairs import write_preferences
from instructmining.selecting.export_target import PREFERENCE, Target, refuse_existing, target_of
from instructmining.selecting.facts import Changes, Facts, changes, facts_of
from instructmining.selecting.selection import candidates
from instructmining.selecting.subset_table import Members, store_subsets
from instructmining.settings.learning import Floor, Select
from instructmining.settings.sections import Settings
from instructmining.store.current import rejected_examples, stale_examples
from instructmining.store.tables import Store
from instructmining.tracking.mlflow_runs import Run, log_run
from instructmining.trainers.writing import write_for
from jobs.scoring.rule_choice import rule_for
from jobs.selecting.diverse import choose_diverse
from jobs.selecting.for_target import aimed, choose_for_target
from jobs.selecting.marks import marked
from jobs.selecting.repeats import without_repeats
from jobs.selecting.sentences import estimated, nothing, shortfall
from jobs.selecting.size_choice import with_size
from udfs.indicators import models_of, resolve


@dataclass(frozen=True)
class Selected:
    """What a selection left behind.

    Attributes:
        picked: `example_id, rank, score`, on the driver's side of Spark.
        facts: counts, sources, means.
        card: the dataset card, as Markdown.
        text: the summary, as printed.
        new: whether the store did not have the subset yet.
    """

    picked: DataFrame
    facts: Facts
    card: str
    text: str
    new: bool


def run(spark: SparkSession, settings: Settings) -> Selected:
    """Choose, store, export, print the summary and return it.

    Raises:
        UserError: a mistake in the settings, a pool that was not scored, an existing export.
    """
    store = Store.open(spark, settings.store)
    target = target_of(settings.export)
    if target is not None:
        refuse_existing(spark, target, settings.export.overwrite)
    settings, of_size = with_size(spark, settings)
    select = settings.select
    source = source_of(store, settings)
    rows = candidates(
        store, settings.pool, source.rule, source.measured, select.current, select.rejected
    )
    with (
        log_run(settings.tracking, f"select {settings.pool}") as tracked,
        marked(store, rows, select, settings.floor, settings.models, tracked.id) as choice,
        ExitStack() as stack,
    ):
        omitted = [
            *without_stale(store, settings.pool, select),
            *without_rejected(store, settings.pool, select),
        ]
        rows, repeats = without_repeats(
            store, choice.rows, settings.pool, select, settings.evaluate.overlap, tracked.id
        )
        omitted += [*choice.notes, *repeats]
        aim = stack.enter_context(aimed(store, rows, settings, tracked.id))
        rows = aim.rows
        if select.target is not None:
            diverse = choose_for_target(store, aim, select)
        else:
            diverse = choose_diverse(store, rows, select, source.measured)
        table = diverse.picked.orderBy("rank").toArrow()
        if not table.num_rows:
            raise UserError("; ".join([nothing(settings.pool, select), *omitted]))
        ids = table["example_id"].to_pylist()
        picked = spark.createDataFrame(table)
        facts = facts_of(store, rows, picked, ids, select, source.measured)
        recipe = {
            **recipe_of(settings.pool, select, settings.floor, source.rule),
            "below_floor": choice.reasons,
        }
        members = Members(facts.subset, json.dumps(recipe, sort_keys=True), ids)
        new = store_subsets(store, [members], tracked.id) > 0
        notes = [
            *of_size,
            *source.notes,
            *omitted,
            *diverse.notes,
            *shortfall(select, facts),
            *estimated(facts),
        ]
        written = None
        if target is not None:
            written = export(store, rows, picked, target, settings.export.overwrite)
            notes += written.notes
        card = Card(
            settings,
            source.rule,
            source.name,
            facts,
            notes,
            against(store, rows, picked, source, settings, tracked.id),
            tracked.id,
            written.layout if written else None,
        )
        text = summary(store, card, target, written, new)
        record(tracked, card, recipe, source.rule)
        if target is not None and target.card is not None:
            target.card.write_text(front_matter(card, target) + card.markdown(), encoding="utf-8")
        print(text)
    return Selected(picked, facts, card.markdown(), text, new)


@dataclass(frozen=True)
class Source:
    """Whose predictions and embeddings are read.

    Attributes:
        rule: None where the strategy needs none and the pool has no scores under it.
        name: of the rule, as `--rule` takes it.
        measured: by which models; None where nothing depends on it.
        notes: why this rule, and where it does not fit.
    """

    rule: LinearRule | None
    name: str | None
    measured: Measured | None
    notes: list[str]


def source_of(store: Store, settings: Settings) -> Source:
    """Choose the rule as `score` does; models are named but never loaded."""
    source = settings.rule.source
    select = settings.select
    if source != "auto" and select.diversity == "none":
        rule = load_rule(source, settings.tracking)
        return Source(rule, rule_name(rule, source), None, [])
    models = models_of(settings.models, settings.indicators, settings.indicator_version)
    resolved = {stage: resolve(spec, settings.tracking) for stage, spec in models.stages.items()}
    choice = rule_for(models, resolved, settings.rule, settings.knn, settings.tracking)
    rule = choice.rule
    notes = [f"the rule is {choice.why}"] * (source == "auto")
    if select.strategy != "rule" and scores_of(store, settings.pool, rule).isEmpty():
        return Source(None, None, choice.measured, [])
    notes += choice.notes
    return Source(rule, rule_name(rule, source), choice.measured, notes)


def rule_name(rule: LinearRule, source: str) -> str:
    """As `--rule` takes it, with the version instead of an alias, which may move."""
    if rule.name in built_in_rules():
        return rule.name
    return f"models:/{rule.name}/{rule.version}" if "published_as" in rule.provenance else source


def recipe_of(pool: str, select: Select, floor: Floor, rule: LinearRule | None) -> dict[str, Any]:
    """What decides the subset, beside the tables."""
    about = rule and {"name": rule.name, "version": rule.version, "fingerprint": rule.fingerprint}
    chosen = select.model_dump(exclude={"against"}, exclude_none=True)
    thresholds = floor.model_dump() if select.floor == "on" else None
    return {"pool": pool, "rule": about, **chosen, "floor_settings": thresholds}


def without_stale(store: Store, pool: str, select: Select) -> list[str]:
    """A sentence where examples are left out because no source holds them any more."""
    if not select.current:
        return []
    count = sum(row.examples for row in stale_examples(store, pool))
    said = f"{count:,} examples are left out: no source holds them any more (--all takes them)"
    return [said] * (count > 0)


def without_rejected(store: Store, pool: str, select: Select) -> list[str]:
    """A sentence where answers are left out because their data mark them as rejected."""
    if select.rejected:
        return []
    count = rejected_examples(store, pool)
    said = f"{count:,} examples are left out: rejected answers of pairs (--rejected takes them)"
    return [said] * (count > 0)


def export(
    store: Store, rows: DataFrame, picked: DataFrame, target: Target, overwrite: bool
) -> Written:
    """Write the examples, and say where and how."""
    texts = store.read("examples").drop("bucket", "run_id")
    sources = rows.select("example_id", "source")
    examples = picked.join(sources, "example_id").join(texts, "example_id")
    if target.trainer is not None:
        return write_for(examples, target, target.trainer, overwrite)
    if target.kind in ("hub", "save_to_disk"):
        return write_folder(examples, target, overwrite)
    if target.layout == PREFERENCE:
        return write_preferences(store, examples, target)
    return write(examples, target, overwrite)


def against(
    store: Store,
    rows: DataFrame,
    picked: DataFrame,
    source: Source,
    settings: Settings,
    run_id: str,
) -> Changes | None:
    """The same choice with the other rule, and what is different."""
    select = settings.select
    if select.against is None:
        return None
    rival = load_rule(select.against, settings.tracking)
    others = candidates(
        store,
        settings.pool,
        rival,
        only_current=select.current,
        with_rejected=select.rejected,
    )
    with marked(store, others, select, settings.floor, settings.models, run_id) as rival_choice:
        others = rival_choice.rows
        table = choose_diverse(store, others, select, source.measured).picked.toArrow()
    return changes(rows, picked, others, store.spark.createDataFrame(table))


def summary(
    store: Store, card: Card, target: Target | None, written: Written | None, new: bool
) -> str:
    """The page on the terminal."""
    subset = card.facts.subset
    pool = card.settings.pool
    subsets, examples = (store.sql_name(name) for name in ("subsets", "examples"))
    where = [f"  {'subsets':<10} {store.location('subsets')}"]
    if target is not None and written is not None:
        where += [f"  {'export':<10} {place}" for place in written.places]
        where.append(f"  {'layout':<10} {written.layout}")
        where.append(f"  {'card':<10} {target.card or 'in MLflow only'}")
    return "\n".join(
        [
            f"InstructMining · select from pool {pool} · run {card.run_id}",
            "",
            *card.lines(),
            "",
            f"subset {subset}" + ("" if new else ": the store has it already, nothing was added"),
            *where,
            f"  {'MLflow':<10} {card.settings.tracking.uri}",
            "",
            "SQL to try next",
            f"  SELECT s.rank, e.prompt, e.response FROM {subsets} s JOIN {examples} e "  # noqa: S608
            f"USING (example_id)\n  WHERE s.subset = '{subset}' ORDER BY s.rank LIMIT 20;",
            "",
            "the same choice again",
            f"  {card.command()}",
        ]
    )


def record(tracked: Run, card: Card, recipe: dict[str, Any], rule: LinearRule | None) -> None:
    """Settings, recipe, card and counts in MLflow."""
    tracked.log_params(card.settings.model_dump())
    if rule is not None:
        tracked.log_rule(rule)
    tracked.log_text(card.markdown(), "card.md")
    tracked.log_text(json.dumps(recipe, indent=2, sort_keys=True), "recipe.json")
    facts = card.facts
    tracked.log_metrics(
        {
            "selected": facts.size,
            "pool": facts.pool,
            "unscored": facts.unscored,
            "tokens": facts.tokens,
        }
    )
