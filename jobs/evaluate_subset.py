"""Prove a selection against random and longest. See `instructmining evaluate --help`."""

import sys
from collections.abc import Sequence

from jobs.cli import console


def main(argv: Sequence[str] | None = None) -> None:
    """Run `instructmining evaluate`, also under spark-submit and as a Databricks wheel task."""
    console(["evaluate", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    main()
