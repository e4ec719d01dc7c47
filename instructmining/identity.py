"""Which example a record is: the same conversation has the same id in every format.

Version 1 of the id: lower-case hex of the first 128 bits of SHA-256 over, for each message in
order, the role and the content, each as UTF-8 in NFC with outer white space stripped and preceded
by its length in bytes (8 bytes, big-endian). Lengths make the encoding injective: no separator can
be forged by the text. Tool definitions and media are hashed as messages of the roles `tools` and
`media`, which no other message has: an example without any keeps its id. A change of any of this
is a new version, and new ids.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping

BUCKETS = 4096  # the first three hex digits: how work is planned, joined and committed


def example_id(messages: Iterable[Mapping[str, str]]) -> str:
    """The id of a conversation: 32 lower-case hex digits.

    Args:
        messages: `{"role", "content"}` in order, then what else tells examples apart (see
            `turns.structure.identifying`). Lone surrogates are hashed as they stand.
    """
    digest = hashlib.sha256()
    for message in messages:
        for text in (message["role"], message["content"]):
            composed = text if text.isascii() else unicodedata.normalize("NFC", text)
            encoded = composed.strip().encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:32]


def bucket(identifier: str) -> int:
    """The bucket of an example, 0 … BUCKETS − 1."""
    return int(identifier[:3], 16)


def half(identifier: str) -> int:
    """0 or 1, by the parity of the id's first byte: embedded models train on half 0 only."""
    return int(identifier[:2], 16) % 2
