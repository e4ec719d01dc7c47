"""Which models measure the indicators: the lists in `conf/models`, folders and fingerprints."""

import hashlib
import importlib.util
import json
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from instructmining.errors import UserError
from instructmining.models.list_checks import mistakes
from instructmining.models.served import Served, mistakes_of_served
from instructmining.models.weight_files import AGAIN, check_weights
from instructmining.packaged import conf_folder
from instructmining.settings.sections import Tracking
from instructmining.settings.yaml_files import explained, read_yaml

IMPORTED = "imported"  # the kind of numbers that others computed; see `models.imported`
COLUMN = "column:"
_FLOAT8 = ("causal_lm", "gpt_neox_reward", "sequence_classifier")  # kinds, see udfs.running.float8
# Keys of a config.json that say how a file was written, not what the model computes.
_PROVENANCE_KEYS = {"_name_or_path", "dtype", "torch_dtype", "transformers_version"}
_DEFINING_FILES = (
    "*.safetensors",
    "tokenizer.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.py",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "modules.json",
    "sentence_bert_config.json",
)
_NOT_DEFINING = {"source", "base", "revision", "trust_remote_code", "about", "served"}
# The few keys of a tokenizer_config.json that change what is read.
_TOKENIZER_KEYS = {
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "bos_token",
    "chat_template",
    "do_lower_case",
    "eos_token",
    "legacy",
    "model_max_length",
}


class ModelSpec(BaseModel):
    """One entry of a model list: what is loaded, and how its numbers are defined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str  # how it is measured; which kinds there are, `udfs.indicators` knows
    # embedded:NAME, package:NAME, a folder, a hub id, an MLflow URI; of `imported` column:NAME
    source: str = ""
    base: str | None = None  # quality_heads: the encoder whose lower part it shares
    revision: str | None = None
    template: str = "plain"  # how messages become one text; `chat`: the tokenizer's own way
    max_length: int = Field(default=512, ge=8)
    pooling: Literal["cls", "last", "mean"] = "mean"
    indicators: tuple[str, ...] = Field(min_length=1)
    label: str | None = None  # sequence_classifier: probability of this label; None: the raw logit
    # yes_no, endpoint_chat: what is asked about the last reply, after it
    question: str | None = None
    served: Served | None = None  # endpoint_…: the model at the server that `source` is the URL of
    float8: bool = False  # causal_lm, …_reward, sequence_classifier: layers compute in float8
    function: str | None = None  # python: "module:function", conversations -> list of numbers
    version: str = "1"  # python, imported: raise it when the numbers are computed differently
    trust_remote_code: bool = False
    about: str = ""

    @property
    def origin(self) -> str:
        """Where it is from; of a model on a server its name there, since servers move."""
        return self.served.model if self.served else self.source

    @model_validator(mode="after")
    def _is_served_or_not(self) -> "ModelSpec":
        if mistake := mistakes_of_served(self.kind, self.source, self.served, self.question):
            raise ValueError(mistake)
        return self

    @model_validator(mode="after")
    def _can_be_float8(self) -> "ModelSpec":
        if self.float8 and self.kind not in _FLOAT8:
            raise ValueError(f"float8 is for the kinds {', '.join(_FLOAT8)}, not {self.kind}")
        return self


class ModelList(BaseModel):
    """The models of a run, by stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reward: ModelSpec | None = None
    perplexity: ModelSpec | None = None
    embed: ModelSpec | None = None
    mtld: ModelSpec | None = None
    unieval: ModelSpec | None = None
    classifiers: dict[str, ModelSpec] = Field(default_factory=dict)
    reads: tuple[str, ...] = ()  # languages (ISO 639) that all of its models read; empty: any
    notes: tuple[str, ...] = ()  # sentences for the summary: what these models cannot tell

    @model_validator(mode="after")
    def _contradicts_itself_nowhere(self) -> "ModelList":
        if problems := mistakes(self._built_in, self.classifiers):
            raise ValueError(problems[0])
        return self

    @cached_property
    def stages(self) -> dict[str, ModelSpec]:
        """Stage name to model, in the order in which stages run; absent models left out."""
        return self._built_in | self.classifiers

    @property
    def _built_in(self) -> dict[str, ModelSpec]:
        named = {s: getattr(self, s) for s in ("reward", "perplexity", "embed", "mtld", "unieval")}
        return {stage: spec for stage, spec in named.items() if spec is not None}


class ResolvedModel(BaseModel):
    """A spec whose files are at hand on the driver."""

    model_config = ConfigDict(frozen=True)

    spec: ModelSpec
    folder: str  # empty for kinds without weights
    base_folder: str | None = None
    fingerprint: str  # 32 hex digits; equal fingerprints give equal numbers
    definition: dict[str, Any]  # what the fingerprint hashes


def load_model_list(name: str, kinds: Collection[str] | None = None) -> ModelList:
    """Read `conf/models/NAME.yml`, or the YAML file at the path NAME.

    Args:
        name: of a shipped list, or a path.
        kinds: the kinds that can be measured; None: a kind is looked up when it is needed.

    Raises:
        UserError: there is no such list, or an entry of it is wrong.
    """
    lists = conf_folder() / "models"
    path = Path(name) if name.endswith((".yml", ".yaml")) else lists / f"{name}.yml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in lists.glob("*.yml")))
        raise UserError(f"no model list {name!r}: name one of {known}, or a YAML file")
    try:
        models = ModelList(**read_yaml(path, "model list"))
    except ValidationError as error:
        raise UserError(f"{path}: {explained(error, ModelList, 'entry')}") from None
    for stage, spec in models.stages.items():
        if kinds is not None and spec.kind not in kinds:
            entry = f"classifiers.{stage}" if stage in models.classifiers else stage
            raise UserError(
                f"{path}: entry {entry}.kind: there is no kind {spec.kind!r}; "
                f"choose one of {', '.join(sorted(kinds))}"
            )
    return models


def find_model(spec: ModelSpec, formula: int, tracking: Tracking | None = None) -> ResolvedModel:
    """Find the model's files on the driver (downloading a hub id) and fingerprint them.

    Args:
        spec: an entry of a model list.
        formula: the version of the arithmetic of its kind.
        tracking: where MLflow sources are looked up; None: the default store.

    Raises:
        UserError: there is no such model, or a file of it is damaged.
    """
    has_files = spec.source and spec.kind != IMPORTED and spec.served is None
    folder = locate(spec.source, spec.revision, tracking) if has_files else None
    base = locate(spec.base, tracking=tracking) if spec.base else None
    for path in filter(None, (folder, base)):
        check_weights(path)
    definition = {**_definition(spec, folder, base), "formula": formula}
    text = json.dumps(definition, sort_keys=True, ensure_ascii=False)
    return ResolvedModel(
        spec=spec,
        folder=str(folder or ""),
        base_folder=str(base) if base else None,
        fingerprint=hashlib.sha256(text.encode()).hexdigest()[:32],
        definition=definition,
    )


def locate(
    source: str,
    revision: str | None = None,
    tracking: Tracking | None = None,
    may_download: bool = True,
) -> Path:
    """The folder that holds a model: `embedded:lm`, `package:NAME`, a path, a hub id, `models:/…`.

    Of a hub id that may not be downloaded only the cache is looked at.

    Raises:
        UserError: the folder does not exist, or the download failed; names the remedy.
    """
    scheme, _, name = source.partition(":")
    if scheme == "embedded":
        return _existing(conf_folder() / "models" / "embedded" / name, source)
    if scheme == "package":
        package = importlib.util.find_spec(name)
        if package is None or package.origin is None:
            raise UserError(f"model {source}: the Python package {name} is not installed here")
        return _existing(Path(package.origin).parent / "model", source)
    if scheme in ("models", "runs", "mlflow-artifacts"):
        from instructmining.rules.registry import (
            download,  # MLflow costs seconds, and few lists name it
        )

        return download(source, tracking or Tracking())
    if Path(source).exists() or source.startswith((".", "/", "~")):
        return _existing(Path(source).expanduser(), source)
    return _from_hub(source, revision, may_download)


def _from_hub(source: str, revision: str | None, may_download: bool) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                source,
                revision=revision,
                ignore_patterns=["*.bin", "*.pt", "*.h5"],
                local_files_only=not may_download,
            )
        )
    except Exception as error:  # every kind of network and lookup failure has the same remedy
        raise UserError(
            f"model {source}: not a folder here, and the model hub did not give it "
            f"({type(error).__name__}); run `instructmining models fetch` where there is a "
            "network, or name a local folder"
        ) from error


def _existing(path: Path, source: str) -> Path:
    if not path.is_dir():
        raise UserError(f"model {source}: there is no folder {path}")
    return path


def _definition(spec: ModelSpec, folder: Path | None, base: Path | None) -> dict[str, Any]:
    about = spec.model_dump(exclude=_NOT_DEFINING)
    if spec.question is None:  # of kinds that are older than this field: as it was
        del about["question"]
    if not spec.float8:
        del about["float8"]
    if spec.served is not None:
        about["served"] = spec.served.definition()
    files = {
        f"{role}/{name}": digest
        for role, path in (("model", folder), ("base", base))
        if path
        for name, digest in _digests(path).items()
    }
    return {**about, "files": files}


def _digests(folder: Path) -> dict[str, str]:
    """Digests of the files that define what a model computes, by their name in the folder."""
    files = {p for pattern in _DEFINING_FILES for p in folder.glob(pattern)}
    for layer in _read_json(folder / "modules.json", []):  # of sentence-transformers: 1_Pooling …
        if layer["path"]:
            files.update(p for p in (folder / layer["path"]).glob("*") if p.is_file())
    digests = {str(p.relative_to(folder)): _sha256(p) for p in files}
    config = _read_json(folder / "config.json", {})
    tokenizer = _read_json(folder / "tokenizer_config.json", {})
    defining = {k: v for k, v in config.items() if k not in _PROVENANCE_KEYS}
    kept_of_tokenizer = {k: v for k, v in tokenizer.items() if k in _TOKENIZER_KEYS}
    for name, settings in (("config", defining), ("tokenizer_config", kept_of_tokenizer)):
        if settings:
            text = json.dumps(settings, sort_keys=True)
            digests[f"{name}.json"] = hashlib.sha256(text.encode()).hexdigest()
    return digests


def _read_json(path: Path, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else otherwise
    except ValueError:
        raise UserError(f"{path} is damaged: it is not JSON; {AGAIN}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
