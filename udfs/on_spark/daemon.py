"""The process that Python workers are forked from, in a local session on Linux.

`spark.python.daemon.module` names it. A worker with a model needs torch and transformers, whose
import takes some five seconds of CPU and 300 MB. Imported here, before the first worker is forked,
they are paid for once, whatever the number of cores, and again by no worker that Spark starts
because it ended one that was idle for a minute.

Nothing here may start a thread or touch a GPU: a forked process has neither. Spark sets
OMP_NUM_THREADS, so that numerical libraries make no pool of threads when they are imported.
"""

import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path

from pyspark.daemon import manager

from udfs.on_spark.placement import WORKER

_LIBRARIES = ("torch", "transformers.modeling_utils")
_NVIDIA = Path("/proc/driver/nvidia")


def main() -> None:
    """Import what the workers will need, then wait for Spark to ask for them."""
    if imports_for_models():
        for name in _LIBRARIES:
            with suppress(ImportError):  # a worker says it better, in the stage that needs it
                importlib.import_module(name)
    manager()


def imports_for_models() -> bool:
    """Whether this daemon is that of workers with a model, on a machine where forking is safe.

    Libraries may look for a GPU when they are imported, after which a forked process cannot use
    it; on macOS frameworks that they load do not survive a fork.
    """
    is_safe = sys.platform == "linux" and not _NVIDIA.exists()
    return is_safe and os.environ.get(WORKER) == "model"


if __name__ == "__main__":
    main()
