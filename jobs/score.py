"""Score instruction data into Delta tables. See `instructmining score --help`."""

import sys
from collections.abc import Sequence

from jobs.cli import console


def main(argv: Sequence[str] | None = None) -> None:
    """Run `instructmining score`, also under spark-submit and as a Databricks wheel task."""
    console(["score", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    main()
