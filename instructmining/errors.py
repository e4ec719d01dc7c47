"""Errors a person can act on."""


class UserError(Exception):
    """A mistake in the user's settings, data or environment.

    The message is one clear sentence that names what is wrong and the remedy; the console
    script prints it without a stack trace and exits with code 2.
    """


class FailedRowsError(Exception):
    """Too many rows could not be measured; what was measured is stored. Exit code 1."""
