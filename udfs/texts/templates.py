"""What a model family puts around the messages of a conversation.

A template is a function (tokenizer, roles) -> `Frames`: token ids in front of, between and
after the contents. Contents are tokenised apart from their frames, so the border between what
is read and what is scored is exact, a content that spells a special token stays plain text, and
lengths count contents alone.

| template | the model reads | for |
|---|---|---|
| `tags` | BOS, then per message `<|role|>` and content; EOS after assistant turns | embedded LM |
| `plain` | the contents, separated by a line break; EOS after assistant turns | base LMs |
| `alpaca` | `### Instruction:` / `### Response:` headers; EOS after assistant turns | Alpaca LMs |
| `oasst` | `<|prompter|>…EOS<|assistant|>…EOS` | Open-Assistant reward models |
| `chat` | the tokenizer's own chat template | chat models |
| `pair` | the tokenizer's pair form: history, then the last assistant turn | classifiers |
| `response` | the last assistant turn alone | classifiers |

Template sources: Stanford Alpaca `train.py`; Open-Assistant `custom_datasets/formatting.py`.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from instructmining.errors import UserError
from instructmining.layouts.records import CONTEXT

Ids = tuple[int, ...]
Roles = tuple[str, ...]

_ALPACA_HEADER = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
)
# Private-use characters: no real text holds them, no template treats them specially.
_MARK = re.compile("\ue000\\d+\ue001")
_DATE = "26 Jul 2024"
_NO_CLOCK = f"{{% macro strftime_now(format) %}}{_DATE}{{% endmacro %}}"


class RolesError(ValueError):
    """A conversation whose turns a template has no place for: it is not measured, by rule."""


class Frames(NamedTuple):
    """Token ids around n contents.

    Attributes:
        before: per message, what stands in front of its content.
        close: per message, the end of turn that a model has to predict after the content;
            empty for all but assistant turns.
        end: what follows the last close.
    """

    before: tuple[Ids, ...]
    close: tuple[Ids, ...]
    end: Ids


class Template:
    """A named template bound to a tokenizer; frames are made once per sequence of roles."""

    def __init__(self, name: str, tokenizer: Any):
        if name not in TEMPLATES:
            raise UserError(f"template {name!r}: choose one of {', '.join(TEMPLATES)}")
        if name == "chat" and not tokenizer.chat_template:
            raise UserError("template 'chat': this tokenizer has no chat template; choose another")
        self.name = name
        self.tokenizer = tokenizer
        self._frames: dict[Roles, Frames] = {}

    def frames(self, roles: Roles) -> Frames:
        """The frames for messages of these roles.

        Turns that are not to be learnt look like all others of the assistant. What a tool returned
        is read as a turn of the user where the template has no place for it.

        Raises:
            RolesError: the template takes a question and an answer, but not these roles.
            Exception: whatever a chat template raises for every conversation.
        """
        if roles not in self._frames:
            spoken = tuple("assistant" if role == CONTEXT else role for role in roles)
            self._frames[roles] = self._frames_of(spoken)
        return self._frames[roles]

    def _frames_of(self, roles: Roles) -> Frames:
        make = TEMPLATES[self.name]
        try:
            return make(self.tokenizer, roles)
        except Exception as error:
            if "tool" in roles:
                return self._frames_of(tuple("user" if r == "tool" else r for r in roles))
            make(self.tokenizer, ("user", "assistant"))
            raise RolesError(
                f"the template {self.name} does not take these turns: {error}"
            ) from None


def start_token(tokenizer: Any) -> int:
    """BOS, or EOS in its place, as GPT-2 and its like were trained."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UserError("the tokenizer has neither a BOS nor an EOS token to start a text with")


def special_tokens(tokenizer: Any, pair: bool = False) -> tuple[Ids, Ids, Ids]:
    """What the tokenizer itself puts before a text, between two of them, and after."""
    encoded = tokenizer("a", "b") if pair else tokenizer("a")
    ids = encoded["input_ids"]
    owner = encoded.sequence_ids(0)
    first = owner.index(0)
    last = len(owner) - 1 - owner[::-1].index(1 if pair else 0)
    middle = [t for t, o in zip(ids[first:last], owner[first:last], strict=True) if o is None]
    return tuple(ids[:first]), tuple(middle), tuple(ids[last + 1 :])


def _tags(tokenizer: Any, roles: Roles) -> Frames:
    known = tokenizer.get_vocab()
    absent = [role for role in roles if f"<|{role}|>" not in known]
    if absent:
        raise ValueError(f"the tokenizer has no tag for the role {absent[0]!r}")
    first, *others = (known[f"<|{role}|>"] for role in roles)
    before = ((start_token(tokenizer), first), *((tag,) for tag in others))
    return Frames(before, _closed_by_eos(tokenizer, roles), ())


def _plain(tokenizer: Any, roles: Roles) -> Frames:
    prefix, _, suffix = special_tokens(tokenizer)
    before = (prefix, *(_ids(tokenizer, "\n") for _ in roles[1:]))
    close = _closed_by_eos(tokenizer, roles)
    return Frames(before, close, () if suffix == close[-1] else suffix)


def _alpaca(tokenizer: Any, roles: Roles) -> Frames:
    titles = {"assistant": "### Response:\n", "system": ""}
    texts = [titles.get(role, "### Instruction:\n") for role in roles]
    first = (_ALPACA_HEADER if roles[0] != "system" else "") + texts[0]
    prefix, _, _ = special_tokens(tokenizer)
    before = (
        prefix + _ids(tokenizer, first),
        *(_ids(tokenizer, "\n\n" + text) for text in texts[1:]),
    )
    return Frames(before, _closed_by_eos(tokenizer, roles), ())


def _oasst(tokenizer: Any, roles: Roles) -> Frames:
    eos = (int(tokenizer.eos_token_id),)
    tags = {"assistant": "<|assistant|>", "system": "<|system|>"}
    before = [_ids(tokenizer, tags.get(role, "<|prompter|>")) for role in roles]
    for i, role in enumerate(roles[:-1]):
        if role != "assistant":
            before[i + 1] = eos + before[i + 1]
    return Frames(
        tuple(before), _closed_by_eos(tokenizer, roles), () if roles[-1] == "assistant" else eos
    )


def _chat(tokenizer: Any, roles: Roles) -> Frames:
    """Render with placeholders for the contents and cut there.

    The first token after an assistant content is its close if it is a special token
    (`<|im_end|>`, `</s>`). The date is fixed because some templates print today's, which would
    change the scores overnight: it is given to those that take one, and instead of the clock.
    """
    messages = [{"role": r, "content": f"\ue000{i}\ue001"} for i, r in enumerate(roles)]
    template = _NO_CLOCK + tokenizer.get_chat_template()
    text = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, date_string=_DATE
    )
    if _MARK.findall(text) != [m["content"] for m in messages]:
        raise ValueError(f"the chat template drops, repeats or moves one of {', '.join(roles)}")
    first, *behind = (_ids(tokenizer, part) for part in _MARK.split(text))
    special = {*tokenizer.all_special_ids, *_special_added(tokenizer)}
    close = tuple(
        ids[:1] if role == "assistant" and ids and ids[0] in special else ()
        for role, ids in zip(roles, behind, strict=True)
    )
    rest = [ids[len(closed) :] for ids, closed in zip(behind, close, strict=True)]
    return Frames((first, *rest[:-1]), close, rest[-1])


def _pair(tokenizer: Any, roles: Roles) -> Frames:
    before, middle, end = special_tokens(tokenizer, pair=True)
    return Frames((before, middle), ((),) * len(roles), end)


def _response(tokenizer: Any, roles: Roles) -> Frames:
    before, _, end = special_tokens(tokenizer)
    return Frames((before,), ((),) * len(roles), end)


def _closed_by_eos(tokenizer: Any, roles: Roles) -> tuple[Ids, ...]:
    eos = () if tokenizer.eos_token_id is None else (int(tokenizer.eos_token_id),)
    return tuple(eos if role == "assistant" else () for role in roles)


def _special_added(tokenizer: Any) -> set[int]:
    return {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}


def _ids(tokenizer: Any, text: str) -> Ids:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()


TEMPLATES: dict[str, Callable[[Any, Roles], Frames]] = {
    "tags": _tags,
    "plain": _plain,
    "alpaca": _alpaca,
    "oasst": _oasst,
    "chat": _chat,
    "pair": _pair,
    "response": _response,
}
