"""A finetune whose processes are the tasks of one barrier stage, joined by torch.distributed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from pyspark import BarrierTaskContext, SparkFiles

from instructmining.errors import UserError
from instructmining.models import ResolvedModel
from instructmining.settings import Finetune, Measure
from udfs.finetune_task import failed, outcome_row
from udfs.indicator import task_place
from udfs.measurement import Conversation
from udfs.placement import received

# A process waits so long for another. One that fails ends its task, and Spark ends the others'.
_PATIENCE = timedelta(minutes=30)
_LOST = "a process of the run was lost, for want of memory perhaps: see its executor's log"


def finetune_together(
    model: ResolvedModel, measure: Measure, recipe: Finetune, rows: Sequence[Conversation],
    sets: Mapping[str, Sequence[Conversation]], seed: int,
) -> dict[str, Any] | None:  # fmt: skip
    """This process's part of one run; call it in every task of a barrier stage.

    Returns:
        Of the first process the run's row, as `finetune_task.finetuned`; of the others None.

    Raises:
        Exception: what broke this process alone; it has to end the stage, since the others wait.
    """
    task = BarrierTaskContext.get()
    device, dtype = task_place(measure)
    place = {"device": f"{len(task.getTaskInfos())} x {device.partition(':')[0]} {dtype}"}
    if reason := _broken_before(task):
        row: dict[str, Any] = {"status": "failed", "reason": reason}
    else:
        row = _run(task, device, dtype, model, measure, recipe, rows, sets, seed)
    return place | row if task.partitionId() == 0 else None


def _run(
    task: BarrierTaskContext, device: str, dtype: str, model: ResolvedModel, measure: Measure,
    recipe: Finetune, rows: Sequence[Conversation], sets: Mapping[str, Sequence[Conversation]],
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    from udfs.device import default_token_budget
    from udfs.sharding import ShardedFinetuner

    budget = measure.token_budget or default_token_budget(device)
    finetuner, reason = None, ""
    try:
        finetuner = ShardedFinetuner(model.spec, received(model.folder), dtype, budget, recipe)
    except Exception as error:
        reason = failed(error)
    reasons = [each for each in task.allGather(reason) if each]
    if finetuner is None or reasons:
        return {"status": "failed", "reason": reasons[0]}
    try:
        with _joined(task, device):
            finetuner.shard(device)
            try:
                return outcome_row(finetuner.run(rows, sets, seed))
            except (ArithmeticError, UserError) as error:  # of numbers that all processes have
                return {"status": "failed", "reason": failed(error)}
    except Exception as error:
        _note(task).write_text(f"{time.time():.6f} {failed(error)}", encoding="utf-8")
        raise


def _broken_before(task: BarrierTaskContext) -> str | None:
    """Why the stage is tried again; None the first time.

    Spark would repeat the whole run, up to three times. Processes that wait for one that fails
    break as well: the earliest reason is the one.
    """
    note = _note(task)
    found = "again " + note.read_text(encoding="utf-8") if note.is_file() else ""
    note.touch()
    told = [each.removeprefix("again ") for each in task.allGather(found) if each]
    return min(filter(None, told), default=f"? {_LOST}").partition(" ")[2] if told else None


def _note(task: BarrierTaskContext) -> Path:
    """Where this process says that it began, and what broke it, to the one in its place."""
    name = f"finetune-{task.stageId()}-{task.partitionId()}"
    return Path(SparkFiles.getRootDirectory()) / name


@contextmanager
def _joined(task: BarrierTaskContext, device: str) -> Iterator[None]:
    """The tasks of the stage as torch's default process group.

    A task that fails in it leaves it open: its Python worker ends with the task.
    """
    import torch
    from torch import distributed

    rank, tasks = task.partitionId(), task.getTaskInfos()
    host = tasks[0].address.rpartition(":")[0].strip("[]")
    store = None
    if rank == 0:  # the port is the system's choice, and taken before anyone hears of it
        store = distributed.TCPStore(host, 0, len(tasks), is_master=True, wait_for_workers=False)
    port = int(task.allGather(str(store.port if store else ""))[0])
    if store is None:
        store = distributed.TCPStore(host, port, len(tasks), is_master=False)
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if cuda else "gloo", store=store, rank=rank, world_size=len(tasks),
        timeout=_PATIENCE, device_id=torch.device(device) if cuda else None,
    )  # fmt: skip
    yield
    distributed.destroy_process_group()
    task.barrier()  # the first process holds the store until all have left
