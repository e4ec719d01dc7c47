"""Select a subset of a scored pool and export it. See `instructmining select --help`."""

import sys
from collections.abc import Sequence

from jobs.cli import console


def main(argv: Sequence[str] | None = None) -> None:
    """Run `instructmining select`, also under spark-submit and as a Databricks wheel task."""
    console(["select", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    main()
