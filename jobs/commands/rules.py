"""`instructmining rules`: look at rules, export them, register and promote them in MLflow."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from instructmining.errors import UserError
from instructmining.rules.canary import canary_objection
from instructmining.rules.canary_record import canary_metrics
from instructmining.rules.registry import (
    CHAMPION,
    RegisteredRule,
    list_rules,
    load_rule,
    promote,
    publish_rule,
    refuse_unproven,
)
from instructmining.rules.rule import LinearRule, built_in_rules
from jobs.commands.options import common, tracking_of


@click.group()
def rules() -> None:
    """Rules: intercept and coefficients that predict the log loss (lower is better)."""


@rules.command("list")
@common
def list_command(**shared: Any) -> None:
    """Built-in rules, and the versions registered in MLflow."""
    tracking = tracking_of(shared)
    registered = [] if tracking.uri == "none" else list_rules(tracking)
    for line in _overview(built_in_rules().values(), registered):
        click.echo(line)


@rules.command()
@click.argument("source")
@common
def show(source: str, **shared: Any) -> None:
    """What one rule says, and what it was fitted on. SOURCE: as for `score --rule`."""
    rule = load_rule(source, tracking_of(shared))
    click.echo(f"{rule.name}, version {rule.version}: predicts {rule.target}, lower is better")
    for name, value in {"intercept": rule.intercept, **rule.coefficients}.items():
        click.echo(f"  {name:<20} {value:<+12.6g}{_fitted_on(rule, name)}".rstrip())
    for term, hinge in rule.hinges.items():
        click.echo(f"  {term} = {hinge.words}")
    click.echo(f"  standard errors      {'yes' if rule.covariance else 'not known'}")
    for key, value in rule.provenance.items():
        click.echo(f"  {key:<20} {value}")
    click.echo(f"  fingerprint          {rule.fingerprint}")


@rules.command()
@click.argument("source")
@click.option(
    "--as",
    "form",
    type=click.Choice(["json", "spark", "duckdb"]),
    default="json",
    show_default=True,
    help="The record as JSON, or a SELECT expression in a dialect of SQL.",
)
@click.option("--to", "target", metavar="FILE", help="Write to this file instead of printing.")
@common
def export(source: str, form: str, target: str | None, **shared: Any) -> None:
    """Print a rule as JSON or as a SQL expression over the indicators' columns."""
    rule = load_rule(source, tracking_of(shared))
    text = rule.to_json() if form == "json" else rule.to_sql(form) + "\n"  # type: ignore[arg-type]
    if target is None:
        click.echo(text, nl=False)
    else:
        try:
            Path(target).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"--to {target}: {error.strerror}") from None


@rules.command()
@click.argument("sources", nargs=-1)
@click.option("--alias", help="Point this alias at the version, for example candidate.")
@common
def publish(sources: tuple[str, ...], alias: str | None, **shared: Any) -> None:
    """Register rules in MLflow; one that is registered already keeps its version.

    Without SOURCES the built-in rules, each with its name as alias.
    """
    tracking = tracking_of(shared)
    if alias and not sources:
        raise UserError("--alias is for the rules that are named: rules publish SOURCE --alias …")
    if alias == CHAMPION:
        raise UserError(
            f"--alias {CHAMPION}: publish the rule, then `rules promote` it, which "
            "compares it with what there is"
        )
    named = dict.fromkeys(sources, alias) or {name: name for name in built_in_rules()}
    for source, wanted in named.items():
        version, made = publish_rule(load_rule(source, tracking), tracking, wanted)
        click.echo(f"{source}: {version.uri} {'registered' if made else 'was registered before'}")


@rules.command("promote")
@click.argument("version")
@click.option(
    "--alias", default=CHAMPION, show_default=True, help="The alias that moves to the version."
)
@click.option("--force", is_flag=True, help="Promote a rule that does not pass the gate.")
@common
def promote_command(version: str, alias: str, force: bool, **shared: Any) -> None:
    """Point an alias at a version: a number, or models:/NAME/NUMBER.

    The champion moves only to a rule whose cross-validated error is below that of the mean alone
    and that of the champion's terms, refitted on the same runs; whose terms lower the error on
    candidates that their fit had not seen, and passed the permutation test (p < 0.05); and of
    which no sign contradicts what its indicator means. Where a run of `score` tried the rule on
    spoiled rows, it must prefer the real row in at least 60 of 100 pairs of every kind.
    """
    tracking = tracking_of(shared)
    if alias == CHAMPION and not force:
        refuse_unproven(version, tracking)
        tried = canary_metrics(version, tracking)
        if why := canary_objection(version, tried):
            raise UserError(why)
        if not tried:
            click.echo(f"no canary of {version} is stored: score a pool with --rule {version}")
    name, number, before = promote(version, tracking, alias)
    was = f", before it was version {before}" if before else ""
    click.echo(f"{name}@{alias} is version {number}{was}")


def _overview(
    built_in: Iterable[LinearRule], registered: Iterable[RegisteredRule]
) -> Iterable[str]:
    for rule in built_in:
        yield f"{rule.name}  built in"
    for version in registered:
        when = datetime.fromtimestamp(version.created / 1000, UTC)
        aliases = "".join(f"  @{alias}" for alias in version.aliases)
        yield f"{version.uri}  {version.rule}, registered {when:%Y-%m-%d %H:%M} UTC{aliases}"


def _fitted_on(rule: LinearRule, name: str) -> str:
    if name not in rule.coefficients:
        return ""
    indicator = rule.indicator_of(name)
    model = rule.models.get(indicator)
    known = " or ".join(model.sources) if model else ""
    span = rule.ranges.get(indicator)
    inside = "  in {:g} … {:g}".format(*span) if span else ""
    return f"  with {known or 'an unknown model'}{inside}"
