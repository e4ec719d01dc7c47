"""One input tried through the command line: what was printed, and what the tables hold then."""

import contextlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.harness.stored import count, table, version
from instructmining.snippets import snippet
from jobs.cli import console

_COUNTS = re.compile(
    r"rows read ([\d,]+) = scored ([\d,]+) \+ copies ([\d,]+) \+ quarantined ([\d,]+)"
)
_SHOWN = 150  # characters of what was seen


class Trial:
    """An input with a store of its own.

    Attributes:
        given: the file or folder.
        folder: for whatever a trial writes; the store lies in it.
        code: exit code of the last command.
        text: what the last command printed to both streams.
    """

    def __init__(self, given: Path, folder: Path) -> None:
        """Nothing is run yet."""
        self.given, self.folder, self.store = given, folder, folder / "store"
        self.code, self.text = 0, ""

    def score(self, *arguments: str, stages: str = "ingest", given: Path | None = None) -> "Trial":
        """Score the input, or another one, into the store."""
        source = given or self.given
        return self.run("score", f"--input={source}", f"--stages={stages}", *arguments)

    def run(self, command: str, *arguments: str) -> "Trial":
        """Run a command on the store; keeps its exit code and what it printed."""
        printed = io.StringIO()
        self.code = 0
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                console([command, f"--store={self.store}", "--tracking-uri=none", *arguments])
            except SystemExit as ended:
                self.code = int(ended.code or 0)
            except Exception as error:  # what a user would see as a stack trace
                self.code = 1
                print(f"Traceback: {type(error).__name__}: {error}")
        self.text = printed.getvalue()
        return self

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Rows of the table `examples`, ordered by prompt."""
        examples: list[dict[str, Any]] = self.rows("examples")
        return sorted(examples, key=lambda row: (row["prompt"], row["response"]))

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Prompt and response of every example."""
        return {(row["prompt"], row["response"]) for row in self.rows("examples")}

    @property
    def quarantined(self) -> list[str]:
        """Reason and detail of every row of quarantine."""
        return [f"{row['reason']}: {row['detail']}" for row in self.rows("quarantine")]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table; none where it does not exist."""
        if version(self.store, name) < 0:
            return []
        records = table(self.store, name).to_dict("records")
        return [{str(column): value for column, value in row.items()} for row in records]

    def problem(self) -> str | None:
        """What is wrong whatever the input: a stack trace, or rows that do not add up."""
        if "Traceback" in self.text or "\tat " in self.text or self.code not in (0, 2):
            return "a stack trace or a failure"
        counts = _COUNTS.search(self.text)
        if counts:
            rows, scored, copies, bad = (int(number.replace(",", "")) for number in counts.groups())
            if rows != scored + copies + bad:
                return "the rows read do not add up"
        return None

    def seen(self) -> str:
        """What came of it, on one line."""
        if self.code:
            return self._short(f"exit code {self.code}: {self.text}")
        held = [
            count(self.store, name) if version(self.store, name) >= 0 else 0
            for name in ("examples", "occurrences", "quarantine")
        ]
        parts = [f"{held[0]} examples, {held[1] - held[0]} copies, {held[2]} quarantined"]
        parts += self.quarantined[:1] or [f"{a!r} → {b!r}" for a, b in sorted(self.pairs)[:2]]
        return self._short("; ".join(parts))

    def _short(self, text: str) -> str:
        return snippet(text.replace(str(self.given), self.given.name), _SHOWN)


def words(messages: Sequence[dict[str, Any]], role: str) -> str:
    """All that one role says in a conversation."""
    return "\n".join(str(message["content"]) for message in messages if message["role"] == role)
