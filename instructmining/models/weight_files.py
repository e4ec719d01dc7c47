"""The safetensors files of a model: what they hold, and whether they are whole; no torch."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from instructmining.errors import UserError

_LENGTH = 8  # bytes of a file's first number, little endian: the length of its header
_LONGEST = 100 << 20  # bytes of a header, by the format
AGAIN = "fetch or copy the model again (`instructmining models fetch`)"


def tensors_of(file: Path) -> dict[str, Any]:
    """`shape` and `data_offsets` of each tensor, read from a file's header.

    Raises:
        UserError: the header is damaged, or the file ends before or after its last tensor.
    """
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(_LENGTH), "little")
        text = opened.read(length) if length <= _LONGEST else b""
    try:
        header: dict[str, Any] = json.loads(text)
        header.pop("__metadata__", None)
        ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UserError(
            f"{file} is damaged: it does not begin as a safetensors file; {AGAIN}"
        ) from None
    whole = _LENGTH + length + max(ends, default=0)
    size = file.stat().st_size
    if size != whole:
        raise UserError(
            f"{file} is damaged: it has {size:,} bytes, but its header says {whole:,}; {AGAIN}"
        )
    return header


def parameters_in(folders: Sequence[str]) -> int:
    """How many numbers the safetensors files of some folders hold, read from their headers."""
    files = [file for folder in folders for file in Path(folder).glob("*.safetensors")]
    shapes = (tensor["shape"] for file in files for tensor in tensors_of(file).values())
    return sum(math.prod(shape) for shape in shapes)


def check_weights(folder: Path) -> None:
    """Refuse a damaged file, before it makes a fingerprint under which nothing was measured.

    Raises:
        UserError: names the file.
    """
    for file in sorted(folder.rglob("*.safetensors")):
        tensors_of(file)
