"""Errors a person can act on."""

import re


class UserError(Exception):
    """A mistake in the user's settings, data or environment.

    The message is one clear sentence that names what is wrong and the remedy; the console
    script prints it without a stack trace and exits with code 2.
    """


class FailedRowsError(Exception):
    """Too many rows could not be measured; what was measured is stored. Exit code 1."""


_PYTHON_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Exception|Exit)): (.+)$", re.MULTILINE)


def cause(error: Exception) -> str:
    """One line of what Spark reports: a failed task's last Python error, else the first line."""
    found = _PYTHON_ERROR.findall(str(error))
    if not found:
        return str(error).strip().partition("\n")[0][:300]
    kind, message = found[-1]
    return str(message) if kind == "UserError" else f"{kind}: {message}"
