"""The parts of a conversation that indicators read."""

from collections.abc import Sequence

from udfs.running.measurement import Conversation, Message


def defects(conversations: Sequence[Conversation]) -> list[str | None]:
    """Per conversation why no response of it can be measured, else None."""
    return [_defect(conversation) for conversation in conversations]


def _defect(conversation: Conversation) -> str | None:
    if not conversation:
        return "no messages"
    if not all(isinstance(m.get("content"), str) and m.get("role") for m in conversation):
        return "a message without role or text"
    answers = [m["content"] for m in conversation if m["role"] == "assistant"]
    if not answers:
        return "no assistant turn"
    return None if any(text.strip() for text in answers) else "every assistant turn is blank"


def reply_defects(conversations: Sequence[Conversation]) -> list[str | None]:
    """Per conversation why its last assistant turn cannot be measured, else None."""
    reasons = defects(conversations)
    for row, conversation in enumerate(conversations):
        if not reasons[row] and not last_reply(conversation)[1].strip():
            reasons[row] = "the last assistant turn is blank"
    return reasons


def refuse_no_tokens(reasons: list[str | None], tokens: Sequence[int]) -> None:
    """A response of characters that the tokenizer drops is as good as blank: it gets its reason."""
    for row, count in enumerate(tokens):
        if reasons[row] is None and not count:
            reasons[row] = "no response tokens"


def up_to_last_reply(conversation: Conversation) -> list[Message]:
    """The conversation up to and including its last assistant turn."""
    last = max(i for i, m in enumerate(conversation) if m["role"] == "assistant")
    return list(conversation[: last + 1])


def last_reply(conversation: Conversation) -> tuple[str, str]:
    """History (contents of all earlier messages, one per line) and last assistant turn."""
    *history, reply = up_to_last_reply(conversation)
    return joined(history), reply["content"]


def assistant_text(conversation: Conversation) -> str:
    """All assistant turns, joined by a space."""
    return " ".join(m["content"] for m in conversation if m["role"] == "assistant")


def joined(conversation: Conversation) -> str:
    """The contents of all messages, one after another, separated by a line break."""
    return "\n".join(m["content"] for m in conversation)
