"""Write one HTML page about a scored pool. See `instructmining report --help`."""

import sys
from collections.abc import Sequence

from jobs.cli import console


def main(argv: Sequence[str] | None = None) -> None:
    """Run `instructmining report`, also under spark-submit and as a Databricks wheel task."""
    console(["report", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    main()
