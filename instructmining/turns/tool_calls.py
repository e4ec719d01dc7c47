"""Tool calls and reasoning: read from every usual form, written into a turn's text in one.

The text is that of Hermes and Qwen, which most open models are trained on: reasoning in
`<think>`, each call as JSON in `<tool_call>`, one after the other:

    <think>
    It depends on the rain.
    </think>

    I'll check.
    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Graz"}}
    </tool_call>
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from instructmining.layouts.records import OBJECT

Call = dict[str, Any]  # {"type": "function", "function": {"name", "arguments"}}, maybe an "id"

_NAMES = ("name", "function_name", "tool_name", "tool", "function")
_ARGUMENTS = ("arguments", "input", "args", "parameters")
_INSIDE = ("function", "custom", "functioncall", "function_call", "tool_call", "tool_use")


def calls_of(value: Any) -> list[Call]:
    """The calls of a field: one or a list, as objects or as JSON text; OpenAI's form of each.

    What is called with which arguments is kept as it came. Text that is not such JSON, and an
    object that names no function, give no call.
    """
    value = decoded(value)
    listed = value if isinstance(value, list) else [value]
    calls = [call for item in listed if (call := _call(decoded(item)))]
    return calls if len(calls) == len(listed) else []


def with_calls(text: str, reasoning: str, calls: Sequence[Call]) -> str:
    """A turn's text as models read it: reasoning, what is said, and the calls."""
    said = [text] if (text and not text.isspace()) or not (reasoning or calls) else []
    body = "\n".join([*said, *map(call_text, calls)])
    if not reasoning or _holds(text, reasoning):
        return body
    thought = f"<think>\n{reasoning}\n</think>"
    return f"{thought}\n\n{body}" if body else thought


def call_text(call: Call) -> str:
    """One call as text."""
    function = call["function"]
    content = {"name": function["name"], "arguments": decoded(function["arguments"])}
    return f"<tool_call>\n{json.dumps(content, ensure_ascii=False)}\n</tool_call>"


def reasoning_of(values: Iterable[Any]) -> str:
    """The reasoning in these fields: texts, or lists of blocks with a text; each once."""
    thoughts: list[str] = []
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            text = (_text(item) or "").strip()
            if text and text not in thoughts:
                thoughts.append(text)
    return "\n".join(thoughts)


def decoded(value: Any) -> Any:
    """The value of a text that is a JSON object or list; anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return value


def _call(value: Any) -> Call | None:
    if not isinstance(value, OBJECT):
        return None
    fields = {name.lower(): field for name, field in value.items()}
    inside = next((fields[name] for name in _INSIDE if isinstance(fields.get(name), OBJECT)), None)
    if inside is not None:
        return _known(_call(inside), fields)
    name = _first(fields, _NAMES)
    if not isinstance(name, str):
        return None
    arguments = _first(fields, _ARGUMENTS)
    function = {"name": name, "arguments": {} if arguments is None else arguments}
    return _known({"type": "function", "function": function}, fields)


def _known(call: Call | None, fields: Mapping[str, Any]) -> Call | None:
    """The call with its id, by which a result names it."""
    identifier = _first(fields, ("id", "call_id"))
    return {"id": identifier, **call} if call and isinstance(identifier, str) else call


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _text(value: Any) -> str | None:
    if isinstance(value, OBJECT):
        value = _first(value, ("text", "thinking", "reasoning", "content", "summary"))
    return value if isinstance(value, str) else None


def _holds(text: str, reasoning: str) -> bool:
    """Whether the text repeats the reasoning itself, as some exports do."""
    return text.lstrip().startswith("<think>") and reasoning in text
