"""Messages as servers of chat models take them."""

from instructmining.layouts.records import CONTEXT
from udfs.running.measurement import Conversation, Message

_ROLES = ("system", "user", "assistant")


def spoken(conversation: Conversation) -> list[Message]:
    """Role and content alone; a turn not to be learnt is the assistant's, a tool's the user's."""
    return [
        {"role": _role(message["role"]), "content": message["content"]} for message in conversation
    ]


def transcript(conversation: Conversation) -> str:
    """All turns as one text, each after its role in brackets."""
    return "\n\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in spoken(conversation))


def _role(role: str) -> str:
    if role == CONTEXT:
        return "assistant"
    return role if role in _ROLES else "user"
