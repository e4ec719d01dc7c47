"""A user's function that leaves a trace of every row it measures: what was measured twice shows."""

import os
from collections.abc import Sequence
from pathlib import Path

from instructmining.identity import example_id
from udfs.running.measurement import Conversation

FILE = "INSTRUCTMINING_WITNESS"  # environment variable: where the ids are written


def measure(conversations: Sequence[Conversation]) -> list[float]:
    """Characters of each conversation; its id goes, as one line, to the end of the file."""
    lines = "".join(f"{example_id(conversation)}\n" for conversation in conversations)
    # One write to a file opened for appending: lines of several processes do not mix.
    file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, lines.encode())
    finally:
        os.close(file)
    return [float(sum(len(message["content"]) for message in turns)) for turns in conversations]


def seen(file: Path) -> list[str]:
    """Every id that was measured, as often as it was."""
    return file.read_text(encoding="utf-8").split() if file.is_file() else []
