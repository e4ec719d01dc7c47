"""The beginning of a text, for a line of a summary or a page."""


def snippet(text: str, characters: int) -> str:
    """The text on one line of at most this many characters; … stands where it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1] + "…"
