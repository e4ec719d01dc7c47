"""Which option of which command is which setting.

Types, choices, defaults and help come from the field of the setting.
An option here has no help text of its own: it is the description of its setting in
`instructmining.settings`, so that `--help` and docs/settings.md cannot differ.
"""

_STORE = {"--store --output": "store"}
_PLACES = {**_STORE, "--files": "files"}
_READ = {
    "--format": "read.format",
    "--columns": "read.columns",
    "--id": "read.id",
    "--keep": "read.keep",
}
_BASE = {"--base": "fit.base", "--epochs": "finetune.epochs"}
_DEVICE = {"--device": "measure.device"}
_FLOOR = {
    "--floor": "select.floor",
    "--languages": "floor.languages",
    "--where": "select.where",
    "--out-of-range": "select.out_of_range",
}
_FINETUNE = {**_BASE, **_DEVICE, "--dtype": "finetune.dtype"}

_INDICATORS = {"--indicator": "indicators", "--indicator-version": "indicator_version"}

# Command -> flags -> setting; a flag's second name is kept for those who know it.
OPTIONS: dict[str, dict[str, str]] = {
    "doctor": {**_STORE, "--models": "models"},
    "preview": {"--input": "input", **_READ, "--best-path": "read.best_path"},
    "score": {
        "--input": "input",
        **_PLACES,
        "--pool": "pool",
        "--replace-pool": "replace_pool",
        "--models": "models",
        **_INDICATORS,
        "--rule": "rule.source",
        "--strict-rule": "rule.strict",
        "--stages": "stages",
        "--knn-reference": "knn.reference",
        **_READ,
        "--best-path": "read.best_path",
        "--strict-fields": "read.strict_fields",
        "--skip-bad-files": "read.skip_bad_files",
        **_DEVICE,
        "--dtype": "measure.dtype",
        "--max-failed-fraction": "measure.max_failed_fraction",
        "--retry-failed": "measure.retry_failed",
        "--dry-run": "dry_run",
    },
    "select": {
        **_STORE,
        "--pool": "pool",
        "--models": "models",
        **_INDICATORS,
        "--rule": "rule.source",
        "--strategy": "select.strategy",
        "--target": "select.target",
        "--whiten": "select.whiten",
        "--top": "select.top",
        "--fraction": "select.fraction",
        "--tokens": "select.tokens",
        "--threshold": "select.threshold",
        "--percentile": "select.percentile",
        "--size": "select.size",
        "--eval": "evaluate.evaluation",
        **_BASE,
        "--per-source": "select.per_source",
        "--quota": "select.quota",
        "--diversity": "select.diversity",
        "--similarity": "select.similarity",
        "--candidates": "select.candidates",
        "--seed": "select.seed",
        "--near-duplicates": "select.near_duplicates",
        "--without-overlap": "select.without_overlap",
        "--current/--all": "select.current",
        "--rejected": "select.rejected",
        **_FLOOR,
        "--against --compare": "select.against",
        "--to": "export.to",
        "--as": "export.layout",
        "--for": "export.trainer",
        "--overwrite": "export.overwrite",
    },
    "fit": {
        **_PLACES,
        "--pool --pools": "fit.pools",
        "--eval": "fit.evaluation",
        "--models": "models",
        **_INDICATORS,
        "--subsets": "fit.subsets",
        "--size": "fit.size",
        "--design": "fit.design",
        "--indicators": "fit.indicators",
        "--criterion": "fit.criterion",
        "--seed": "fit.seed",
        "--max-runs": "fit.max_runs",
        "--budget": "fit.budget_minutes",
        "--to": "fit.to",
        **_FINETUNE,
    },
    "evaluate": {
        **_PLACES,
        "--pool": "pool",
        "--eval": "evaluate.evaluation",
        "--rule": "rule.source",
        "--strategy": "select.strategy",
        **_FLOOR,
        "--top": "evaluate.top",
        "--tokens": "evaluate.tokens",
        "--seeds": "evaluate.seeds",
        "--seed": "evaluate.seed",
        "--diversity": "evaluate.diversity",
        "--also": "evaluate.also",
        "--clean": "evaluate.clean",
        "--models": "models",
        **_INDICATORS,
        "--judge": "judge.kind",
        "--judged-prompts": "judge.prompts",
        "--endpoint": "judge.url",
        "--endpoint-model": "judge.model",
        "--sizes": "evaluate.sizes",
        **_FINETUNE,
    },
    "report": {
        **_PLACES,
        "--pool": "pool",
        "--rule": "rule.source",
        "--models": "models",
        "--to": "report.to",
        "--examples": "report.examples",
    },
    "import": {
        **_STORE,
        "--scores": "imports.scores",
        "--key": "imports.key",
        **_INDICATORS,
    },
    "explain": {**_STORE, "--pool": "pool", "--rule": "rule.source", "--by": "explain.by"},
    "maintain": {
        **_STORE,
        "--retention-hours": "maintain.retention_hours",
        "--retire": "maintain.retire",
        "--pool": "maintain.pool",
        "--dry-run": "dry_run",
    },
    "erase": {
        **_PLACES,
        "--id": "erase.ids",
        "--ids": "erase.ids_file",
        "--export": "erase.exports",
        "--delete-elsewhere": "erase.delete_elsewhere",
        "--vacuum-now": "erase.vacuum_now",
    },
}
# Settings that are given by naming the option again; other lists are separated by commas.
REPEATED = {
    "input": "DATA",
    "fit.evaluation": "NAME=DATA",
    "evaluate.evaluation": "NAME=DATA",
    "select.quota": "SOURCE=N",
    "select.without_overlap": "NAME=DATA",
    "indicators": "NAME=COLUMN",
    "imports.scores": "DATA",
    "erase.ids": "EXAMPLE_ID",
    "erase.exports": "FILE",
}
