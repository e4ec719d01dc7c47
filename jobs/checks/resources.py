"""Whether what Spark was given fits what the models need: plain values in, sentences out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from instructmining.errors import UserError
from instructmining.models.lists import ResolvedModel
from instructmining.models.shape import shape_of
from instructmining.models.weight_files import parameters_in
from instructmining.settings.sections import Knn, Measure
from udfs.on_spark.placement import machine_memory
from udfs.running.budget import LIBRARIES, LOGITS, bytes_per_token, token_budget
from udfs.running.device import choose_device, resolve_dtype

Conf = Mapping[str, str]  # Spark's settings

_MIB = 2**20
_GIB = 2**30
_TIGHT = 0.9  # of the room: what an estimate may be wrong by
_LESS = "use a smaller model, --dtype bfloat16"
_UNITS = {"": _MIB, "b": 1, "k": 2**10, "m": _MIB, "g": _GIB, "t": 2**40}


def is_local(conf: Conf) -> bool:
    """Whether driver and tasks are one process on one machine (`local-cluster` is not)."""
    return conf.get("spark.master", "").partition("[")[0] == "local"


def check_gpus(conf: Conf, measure: Measure) -> list[str]:
    """Notes on the GPU settings; refuses those that hang, fail every task or pile up copies.

    Raises:
        UserError: names the setting to change.
    """
    executor, task = (
        _number(conf, f"spark.{who}.resource.gpu.amount") for who in ("executor", "task")
    )
    if is_local(conf):
        if task is not None:
            raise UserError(
                "a local master waits forever for GPUs that it cannot schedule: unset "
                "spark.task.resource.gpu.amount; a model stage finds the GPUs itself"
            )
        if measure.device == "cuda":
            choose_device("cuda")
        return []
    if "spark.master" not in conf or measure.device == "cpu":
        return []  # Spark Connect may hide its settings: then there is no opinion
    if executor is None:
        if measure.device == "cuda" and task is None:
            raise UserError(
                f"device is cuda, but no executor owns a GPU, so that {_copies(conf)} would share "
                "whatever there is: set spark.executor.resource.gpu.amount=1, or --device auto"
            )
        return []
    wanted = measure.gpu_amount
    if not wanted and task is None:
        raise UserError(
            f"measure.gpu_amount is 0 and spark.task.resource.gpu.amount is not set: "
            f"{_copies(conf)} would go onto each executor's GPU; set one of them"
        )
    share = max(wanted, task or 0.0)
    if share > executor or (share > 1 and share % 1):
        raise UserError(
            f"no task of a model stage could start with {share:g} of a GPU: set measure.gpu_amount "
            f"to a part of 1 or to a whole number up to {executor:g}, which is "
            "spark.executor.resource.gpu.amount"
        )
    shared = int(1 / share)
    return [f"{shared} copies of each model share a GPU"] if shared > 1 else []


def check_search(conf: Conf, knn: Knn, measure: Measure) -> None:
    """Refuse a search of neighbours on GPUs where no task would get one.

    Raises:
        UserError: names the setting to change.
    """
    if knn.device == "cuda":
        check_gpus(conf, measure.model_copy(update={"device": "cuda"}))


@dataclass(frozen=True)
class Place:
    """Where copies of one model are held at the same time.

    Attributes:
        device: cpu or cuda.
        width: bytes of one weight there, at least.
        copies: how many tasks hold one.
        room: bytes that they should stay within.
        most: bytes beyond which they certainly do not fit; None where nobody knows.
        words: what the room is.
        remedy: which setting to change.
    """

    device: str
    width: int
    copies: int
    room: int
    most: int | None
    words: str
    remedy: str


def place_of(conf: Conf, measure: Measure, slots: int) -> Place | None:
    """Where the copies will be, of `slots` tasks at a time; None where the settings do not say."""
    return _local_place(conf, measure, slots) if is_local(conf) else _executor(conf, measure)


def check_memory(
    models: Mapping[str, ResolvedModel], place: Place, budget: int | None
) -> list[str]:
    """Notes on models that are tight in their place.

    Args:
        models: by stage, each with a folder.
        place: of `place_of`.
        budget: `measure.token_budget`.

    Raises:
        UserError: the weights alone do not fit, or a folder has none that may be loaded.
    """
    notes = []
    for stage, model in models.items():
        weights = place.copies * parameters_of(model) * place.width
        likely = weights + place.copies * _working(model, place, budget)
        source = model.spec.source
        held = f"{place.copies} copies of {source} need" if place.copies > 1 else f"{source} needs"
        if place.most is not None and weights > place.most:
            raise UserError(
                f"stage {stage}: {held} at least {_size(weights)}, but {place.words} "
                f"is {_size(place.most)}; {place.remedy}"
            )
        if likely > _TIGHT * place.room:
            notes.append(
                f"stage {stage}: {held} about {_size(likely)} and {place.words} is "
                f"{_size(place.room)}; if tasks are killed, {place.remedy}"
            )
    return notes


def _local_place(conf: Conf, measure: Measure, slots: int) -> Place:
    device = choose_device(measure.device)
    width = 2 if resolve_dtype(measure.dtype, device) == "bfloat16" else 4
    if device != "cpu":
        import torch

        memory = torch.cuda.get_device_properties(device).total_memory
        return Place(
            "cuda",
            width,
            1,
            memory,
            memory,
            "the GPU's memory",
            f"{_LESS} or a lower measure.token_budget",
        )
    memory = machine_memory()
    heap = spark_bytes(conf.get("spark.driver.memory", "1g"))
    return Place(
        "cpu",
        width,
        slots,
        memory - heap,
        memory,
        "this machine's memory",
        f"{_LESS} or fewer tasks at a time (SPARK_MASTER=local[1])",
    )


def _executor(conf: Conf, measure: Measure) -> Place | None:
    tasks = _tasks_of_executor(conf, measure)
    if tasks is None:
        return None
    master = conf.get("spark.master", "")
    heap = spark_bytes(conf.get("spark.executor.memory", "1g"))
    share = "0.4" if master.startswith("k8s") else "0.1"  # Spark's defaults for Python programs
    share = conf.get("spark.executor.memoryOverheadFactor", share)
    overhead = conf.get("spark.executor.memoryOverhead")
    room = spark_bytes(overhead) if overhead else max(384 * _MIB, int(float(share) * heap))
    # Only these end an executor that takes more; elsewhere the machine may have more.
    enforced = master.startswith(("yarn", "k8s"))
    width = 4 if measure.dtype == "float32" else 2
    return Place(
        "cpu",
        width,
        tasks,
        room,
        heap + room if enforced else None,
        "what an executor has for Python (spark.executor.memoryOverhead)",
        "raise spark.executor.memoryOverhead or spark.task.cpus",
    )


def _tasks_of_executor(conf: Conf, measure: Measure) -> int | None:
    cores = _number(conf, "spark.executor.cores")
    if cores is None:
        return None
    tasks = cores // (_number(conf, "spark.task.cpus") or 1)
    share = gpu_share(conf, measure)
    if share:
        tasks = min(tasks, (_number(conf, "spark.executor.resource.gpu.amount") or 0) // share)
    return max(1, int(tasks))


def tasks_at_once(conf: Conf, measure: Measure, cores: int) -> int:
    """Tasks of a model stage at a time on this many cores, where GPUs may be fewer."""
    tasks = None if is_local(conf) else _tasks_of_executor(conf, measure)
    if tasks is None:
        return cores
    return max(1, cores // int(conf["spark.executor.cores"])) * tasks


def gpu_share(conf: Conf, measure: Measure) -> float:
    """GPUs of a task of a model stage; 0 where executors own none, or none is used."""
    if measure.device == "cpu" or "spark.executor.resource.gpu.amount" not in conf:
        return 0.0
    return max(measure.gpu_amount, _number(conf, "spark.task.resource.gpu.amount") or 0.0)


def parameters_of(model: ResolvedModel) -> int:
    """How many numbers the model's safetensors files hold, read from their headers.

    Raises:
        UserError: there is no such file.
    """
    if not any(Path(model.folder).rglob("*.safetensors")):
        raise UserError(
            f"model {model.spec.source}: no .safetensors file in {model.folder}; load it with "
            "transformers where you trust it and call save_pretrained"
        )
    return parameters_in([folder for folder in (model.folder, model.base_folder) if folder])


def _working(model: ResolvedModel, place: Place, budget: int | None) -> int:
    """Bytes beside the weights: libraries, one batch's activations, a causal LM's logits."""
    shape = shape_of(model.base_folder or model.folder)
    longest = model.spec.max_length
    memory = place.room // place.copies
    tokens = budget or token_budget(
        place.device, shape, longest, parameters_of(model), place.width, memory
    )
    logits = LOGITS[place.device] * (model.spec.kind == "causal_lm")
    return LIBRARIES + tokens * bytes_per_token(shape, longest, place.width) + logits


def _copies(conf: Conf) -> str:
    cores = _number(conf, "spark.executor.cores")
    tasks = int((cores or 0) // (_number(conf, "spark.task.cpus") or 1))
    return f"{tasks} copies of a model" if tasks else "as many copies of a model as it has cores"


def _number(conf: Conf, key: str) -> float | None:
    return float(conf[key]) if key in conf else None


def spark_bytes(text: str) -> int:
    """Spark's way to write sizes: `12g`, `384m`, `512` (MiB)."""
    digits = text.strip().lower().rstrip("bkmgt")
    unit = text.strip().lower()[len(digits) :]
    return int(float(digits) * _UNITS[unit.removesuffix("b") or unit])


def _size(count: float) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / _MIB:.0f} MiB"
