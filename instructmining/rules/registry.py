"""Rules as versions of one registered MLflow model; the JSON artifact is the truth.

`models:/NAME@ALIAS` is resolved once to a version number, and the number is what is recorded:
an alias may move while a job runs.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from instructmining.errors import UserError
from instructmining.rules.gate import objection
from instructmining.rules.mlflow_model import save_rule
from instructmining.rules.rule import LinearRule, read_rule
from instructmining.settings.sections import Tracking
from instructmining.tracking.mlflow_runs import connection, experiment_id, registry_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

CHAMPION = "champion"
_DEFAULT = "paper-v1"
_URI = re.compile(r"models:/(?P<name>[^@]+?)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
_ARTIFACT = "artifacts/rule.json"


class RegisteredRule(NamedTuple):
    """A version of a registered model, as the registry lists it."""

    name: str
    version: int
    run_id: str
    rule: str  # the name the rule had when it was published
    fingerprint: str
    aliases: tuple[str, ...]
    created: int  # milliseconds since 1970, UTC

    @property
    def uri(self) -> str:
        """What `--rule` takes."""
        return f"models:/{self.name}/{self.version}"


def list_rules(settings: Tracking) -> list[RegisteredRule]:
    """The registered versions, newest first; none where nothing was ever published."""
    with connection(settings) as client:
        return list(_versions(client, settings.registry_model))


def publish_rule(
    rule: LinearRule, settings: Tracking, alias: str | None = None
) -> tuple[RegisteredRule, bool]:
    """Register the rule, once: an equal rule keeps its version, whatever it is called.

    Returns:
        The version that holds the rule, and whether this call made it.
    """
    _require(settings, "publish a rule")
    if _catalog_missing(settings):
        raise UserError(
            f"Unity Catalog has no model {settings.registry_model!r}: "
            "--set tracking.registry_model=CATALOG.SCHEMA.NAME"
        )
    name = settings.registry_model
    with connection(settings) as client:
        registered = _find(client, name, rule.fingerprint)
        made = registered is None
        if registered is None:
            _create(client, settings, rule)
            registered = _find(client, name, rule.fingerprint)
        assert registered is not None  # noqa: S101 — the version was made two lines above
        if alias and alias not in registered.aliases:
            client.set_registered_model_alias(name, alias, str(registered.version))
        return registered._replace(
            aliases=tuple(sorted({*registered.aliases, *([alias] if alias else [])}))
        ), made


def promote(version: str, settings: Tracking, alias: str = CHAMPION) -> tuple[str, int, int | None]:
    """Move an alias to a version: a number of the configured model, or any `models:/…` URI.

    Returns:
        The model's name, the version, and the version that had the alias before, if any.
    """
    _require(settings, "promote a rule")
    uri = f"models:/{settings.registry_model}/{version}" if version.isdigit() else version
    name, number = resolve_version(uri, settings)
    with connection(settings) as client:
        client.get_model_version(name, str(number))  # refuses a version that does not exist
        before = _aliases(client, name).get(alias)
        client.set_registered_model_alias(name, alias, str(number))
    return name, number, before


def unproven(version: str, settings: Tracking) -> str | None:
    """Why a version must not become champion, in one sentence; None where it passes the gate.

    Args:
        version: as for `promote`.
        settings: where the rules are registered.
    """
    _require(settings, "promote a rule")
    uri = f"models:/{settings.registry_model}/{version}" if version.isdigit() else version
    name, number = resolve_version(uri, settings)
    rule = load_rule(f"models:/{name}/{number}", settings)
    with connection(settings) as client:
        incumbent = _aliases(client, name).get(CHAMPION)
    champion = None if incumbent in (None, number) else f"models:/{name}/{incumbent}"
    return objection(uri, rule.provenance, champion, rule.coefficients, rule.hinges)


def refuse_unproven(version: str, settings: Tracking) -> None:
    """Let only a rule become champion that passes the gate.

    Raises:
        UserError: with the sentence of `unproven`.
    """
    if why := unproven(version, settings):
        raise UserError(why)


def resolve_version(uri: str, settings: Tracking) -> tuple[str, int]:
    """Name and version of the model that `models:/NAME@ALIAS` or `models:/NAME/7` stands for."""
    parts = _URI.fullmatch(uri)
    if parts is None:
        raise UserError(f"{uri}: write it as models:/NAME@ALIAS or models:/NAME/VERSION")
    if parts["version"]:
        return parts["name"], int(parts["version"])
    _require(settings, f"read {uri}")
    with connection(settings) as client:
        version = client.get_model_version_by_alias(parts["name"], parts["alias"])
    return parts["name"], int(version.version)


def load_rule(source: str, settings: Tracking) -> LinearRule:
    """A built-in rule, a JSON file, or a registered version.

    A registered rule takes the registry's name and version as its own, so that what a scored row
    is marked with can be looked up; the name it was published under stays in the provenance.
    """
    if not source.startswith("models:"):
        return read_rule(source)
    _require(settings, f"read {source}")
    name, version = resolve_version(source, settings)
    text = (download(f"models:/{name}/{version}", settings) / _ARTIFACT).read_text("utf-8")
    rule = LinearRule.from_json(text, f"models:/{name}/{version}")
    provenance = {**rule.provenance, "published_as": f"{rule.name} {rule.version}"}
    return rule.model_copy(update={"name": name, "version": str(version), "provenance": provenance})


def download(uri: str, settings: Tracking) -> Path:
    """A local folder with what `models:/…`, `runs:/…` or `mlflow-artifacts:/…` stands for.

    Raises:
        UserError: there is no such version, or the store cannot be reached.
    """
    _require(settings, f"read {uri}")
    registry = registry_uri(settings)
    root = uri
    with connection(settings) as client:
        from mlflow.artifacts import download_artifacts

        # MLflow reads models:/ from its global registry, except where Databricks lends the keys.
        if uri.startswith("models:") and not registry.startswith("databricks"):
            name, version = resolve_version(uri, settings)
            root = client.get_model_version_download_uri(name, str(version))
        return Path(
            download_artifacts(artifact_uri=root, tracking_uri=settings.uri, registry_uri=registry)
        )


def choose_rule(
    source: str, fingerprints: Mapping[str, str], settings: Tracking
) -> tuple[LinearRule, str]:
    """The rule a run predicts with, and one sentence why it is this one.

    Args:
        source: `auto`, or what `load_rule` takes. `auto` is the champion where it was fitted on
            exactly the models that measure now, else the first published rule.
        fingerprints: by indicator, of the models that measure now.
    """
    if source != "auto":
        return load_rule(source, settings), f"the settings name {source}"
    champion, why = champion_for(fingerprints, settings)
    return champion or read_rule(_DEFAULT), why


def champion_for(
    fingerprints: Mapping[str, str], settings: Tracking
) -> tuple[LinearRule | None, str]:
    """The rule aliased `champion` if it was fitted on exactly these models, and why or why not."""
    if settings.uri == "none":
        return None, f"{_DEFAULT}, since without tracking there is no champion"
    if _catalog_missing(settings):
        return None, f"{_DEFAULT}, since tracking.registry_model names no catalog and schema"
    with connection(settings) as client:
        version = _aliases(client, settings.registry_model).get(CHAMPION)
    if version is None:
        return None, f"{_DEFAULT} orders them while no rule fitted for these models is promoted"
    rule = load_rule(f"models:/{settings.registry_model}/{version}", settings)
    others = [
        name
        for name in rule.indicators
        if name not in rule.models
        or rule.models[name].fingerprint is None
        or rule.models[name].fingerprint != fingerprints.get(name)
    ]
    if others:
        return None, (
            f"{_DEFAULT}, since the champion ({rule.name} {version}) was fitted on "
            f"other models: {', '.join(others)}"
        )
    return rule, f"the champion, fitted on the models that measure here ({rule.name} {version})"


def _require(settings: Tracking, what: str) -> None:
    if settings.uri == "none":
        raise UserError(f"cannot {what} with tracking.uri=none: name an MLflow store")


def _catalog_missing(settings: Tracking) -> bool:
    """Unity Catalog knows models by three names only."""
    return (
        registry_uri(settings).startswith("databricks-uc")
        and settings.registry_model.count(".") != 2
    )


def _create(client: "MlflowClient", settings: Tracking, rule: LinearRule) -> None:
    """A run with the rule's numbers, the served model below it, and the version on top."""
    from mlflow.exceptions import MlflowException

    name = settings.registry_model
    run_id = client.create_run(
        experiment_id(client, settings), run_name=f"publish {rule.name}"
    ).info.run_id
    client.log_metric(run_id, "intercept", rule.intercept)
    for term, factor in rule.coefficients.items():
        client.log_metric(run_id, f"coefficient_{term}", factor)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        save_rule(rule, Path(folder) / "rule.json", model)
        client.log_artifacts(run_id, str(model), "rule")
    client.set_terminated(run_id)
    try:
        client.create_registered_model(name, description="Predicts log loss from indicators")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(
        name,
        f"runs:/{run_id}/rule",
        run_id,
        description=rule.to_sql(),
        tags={"rule": rule.name, "rule_version": rule.version, "fingerprint": rule.fingerprint},
    )


def _find(client: "MlflowClient", name: str, fingerprint: str) -> RegisteredRule | None:
    equal = (version for version in _versions(client, name) if version.fingerprint == fingerprint)
    return next(equal, None)


def _versions(client: "MlflowClient", name: str) -> Iterator[RegisteredRule]:
    if _registered(client, name) is None:  # Unity Catalog would refuse to search for its versions
        return
    aliases = _aliases(client, name)
    numbers = [int(version.version) for version in client.search_model_versions(f"name='{name}'")]
    for number in sorted(numbers, reverse=True):
        # A search in Unity Catalog leaves the tags out: each version is asked for its own.
        version = client.get_model_version(name, str(number))
        tags: dict[str, Any] = version.tags
        yield RegisteredRule(
            name,
            number,
            version.run_id or "",
            tags.get("rule", ""),
            tags.get("fingerprint", ""),
            tuple(sorted(a for a, v in aliases.items() if v == number)),
            version.creation_timestamp,
        )


def _aliases(client: "MlflowClient", name: str) -> dict[str, int]:
    model = _registered(client, name)
    return {alias: int(version) for alias, version in model.aliases.items()} if model else {}


def _registered(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
