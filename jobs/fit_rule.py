"""Learn a rule from finetuning runs. See `instructmining fit --help`."""

import sys
from collections.abc import Sequence

from jobs.cli import console


def main(argv: Sequence[str] | None = None) -> None:
    """Run `instructmining fit`, also under spark-submit and as a Databricks wheel task."""
    console(["fit", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    main()
