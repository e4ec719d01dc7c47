"""Run a program whose Spark queries are called by our line that asked for them.

`python -m bench.harness.call_sites MODULE ARGUMENT…`. Spark itself knows only the Java side of a
call from Python.
"""

import re
import runpy
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from py4j.java_gateway import JavaMember

_ROOT = Path(__file__).parents[2]
# In this folder, or in the zip that spark-submit hands to Python.
_OURS = re.compile(rf"(?:{re.escape(str(_ROOT))}|\.zip)/((?:instructmining|udfs|jobs)/.+)")
_LINES = 2  # of ours: that which asks, and that which called it


def main() -> None:
    """Run it."""
    _name_call_sites()
    module, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _name_call_sites() -> None:
    """Tell Spark before each call of Java which line of ours it comes from, when that changes."""
    call: Any = JavaMember.__call__
    shown = ""

    def named(member: Any, *arguments: Any) -> Any:
        nonlocal shown
        from pyspark import SparkContext

        context = SparkContext._active_spark_context
        site = _site(sys._getframe(1))
        if context is not None and hasattr(context, "_jsc") and site and site != shown:
            shown = site  # before the call, which comes here too
            context.setLocalProperty("callSite.short", site)
        return call(member, *arguments)

    JavaMember.__call__ = named


def _site(frame: FrameType | None) -> str:
    lines: list[str] = []
    while frame is not None and len(lines) < _LINES:
        file = _OURS.search(frame.f_code.co_filename)
        if file:
            lines.append(f"{file[1]}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(lines)


if __name__ == "__main__":
    main()
