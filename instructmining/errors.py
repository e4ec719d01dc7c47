"""Errors a person can act on."""

import re


class UserError(Exception):
    """A mistake in the user's settings, data or environment.

    The message is one clear sentence that names what is wrong and the remedy; the console
    script prints it without a stack trace and exits with code 2.
    """


class FailedRowsError(Exception):
    """Too many rows could not be measured; what was measured is stored. Exit code 1."""


class DriftError(Exception):
    """An indicator moved further than `--fail-on-drift` allows; all is stored. Exit code 1."""


class BrokenOffError(Exception):
    """A full disk or a killed process ended the run; what was committed stays. Exit code 1."""


_PYTHON_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Exception|Exit)): (.+)$", re.MULTILINE)


def cause(error: Exception) -> str:
    """One line of what Spark reports: a failed task's last Python error, else the first line.

    Of an error of the JVM itself that line says nothing: its own message is taken.
    """
    raised = _PYTHON_ERROR.findall(str(error))
    if not raised:
        java = getattr(error, "java_exception", None)  # of py4j
        text = str(error) if java is None else str(java.getMessage() or java.toString())
        return text.strip().partition("\n")[0][:300]
    kind, message = raised[-1]
    return str(message) if kind == "UserError" else f"{kind}: {message}"
