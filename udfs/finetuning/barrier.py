"""A finetune whose processes are the tasks of one barrier stage, joined by torch.distributed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pyspark import BarrierTaskContext

from instructmining.errors import UserError
from instructmining.models.lists import ResolvedModel
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from udfs.finetuning.task import failed, outcome_row
from udfs.indicator import task_place
from udfs.on_spark.placement import arrived
from udfs.running.measurement import Conversation

# A process waits so long for another. One that fails ends its task, and Spark ends the others'
# and the stage: what collects rows from a barrier stage is not tried again.
_PATIENCE = timedelta(minutes=30)


def finetune_together(
    model: ResolvedModel,
    measure: Measure,
    recipe: Finetune,
    rows: Sequence[Conversation],
    sets: Mapping[str, Sequence[Conversation]],
    seed: int,
) -> dict[str, Any] | None:
    """This process's part of one run; call it in every task of a barrier stage.

    Returns:
        Of the first process the run's row, as `finetune_task.finetuned`; of the others None.

    Raises:
        Exception: what broke this process alone; it has to end the stage, since the others wait.
    """
    task = BarrierTaskContext.get()
    device, dtype = task_place(measure)
    place = {"device": f"{len(task.getTaskInfos())} x {device.partition(':')[0]} {dtype}"}
    row = _run(task, device, dtype, model, measure, recipe, rows, sets, seed)
    return place | row if task.partitionId() == 0 else None


def _run(
    task: BarrierTaskContext,
    device: str,
    dtype: str,
    model: ResolvedModel,
    measure: Measure,
    recipe: Finetune,
    rows: Sequence[Conversation],
    sets: Mapping[str, Sequence[Conversation]],
    seed: int,
) -> dict[str, Any]:
    from udfs.finetuning.sharding import ShardedFinetuner
    from udfs.running.budget import default_token_budget

    budget = measure.token_budget or default_token_budget(device)
    finetuner, reason = None, ""
    try:
        finetuner = ShardedFinetuner(model.spec, arrived(model).folder, dtype, budget, recipe)
    except Exception as error:
        reason = failed(error)
    reasons = [reason for reason in task.allGather(reason) if reason]
    if finetuner is None or reasons:
        return {"status": "failed", "reason": reasons[0]}
    with _joined(task, device):
        finetuner.shard(device)
        try:
            return outcome_row(finetuner.run(rows, sets, seed))
        except (ArithmeticError, UserError) as error:  # of numbers that all processes have
            return {"status": "failed", "reason": failed(error)}


@contextmanager
def _joined(task: BarrierTaskContext, device: str) -> Iterator[None]:
    """The tasks of the stage as torch's default process group.

    A task that fails in it leaves it open: its Python worker ends with the task.
    """
    import torch
    from torch import distributed
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    rank = task.partitionId()
    tasks = task.getTaskInfos()
    host = tasks[0].address.rpartition(":")[0].strip("[]")
    store = None
    if rank == 0:  # the port is the system's choice, and taken before anyone hears of it
        store = TCPStore(host, 0, len(tasks), is_master=True, wait_for_workers=False)
    port = int(task.allGather(str(store.port if store else ""))[0])
    if store is None:
        store = TCPStore(host, port, len(tasks), is_master=False)
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if cuda else "gloo",
        store=store,
        rank=rank,
        world_size=len(tasks),
        timeout=_PATIENCE,
        device_id=torch.device(device) if cuda else None,
    )
    yield
    distributed.destroy_process_group()
    task.barrier()  # the first process holds the store until all have left
