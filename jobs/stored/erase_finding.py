"""One place outside the store in which an example is seen, and how to delete it there."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from instructmining.erasing.traces import HOLDS


@dataclass(frozen=True)
class Finding:
    """A file, some lines of a file, or an artifact.

    Attributes:
        name: what it is, for a person.
        verdict: of `instructmining.erasing.traces`.
        command: for a shell; it deletes this and nothing else.
        delete: does the same; None where the file holds more than erased examples or pages of them.
    """

    name: str
    verdict: str
    command: str
    delete: Callable[[], None] | None


def settled(findings: Iterable[Finding], delete: bool) -> Iterator[str]:
    """Lines that say what was deleted, and what was not with the command that deletes it.

    Args:
        findings: what was seen outside the store.
        delete: delete what certainly holds an example; what only may hold one always stays.
    """
    for finding in findings:
        if delete and finding.delete and finding.verdict == HOLDS:
            finding.delete()
            yield f"  deleted {finding.name}"
        else:
            yield (
                f"  NOT deleted ({finding.verdict}): {finding.name}; "
                f"this deletes it: {finding.command}"
            )
