"""Conversations as token ids: tokenised in bulk, put into their template, cut to the limit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from udfs.running.batching import reason
from udfs.running.measurement import Conversation, Measurement
from udfs.texts.conversations import refuse_no_tokens
from udfs.texts.templates import RolesError, Template


@dataclass(frozen=True)
class Rendered:
    """One conversation as a model reads it.

    Attributes:
        ids: token ids.
        counted: one flag per id: part of an assistant turn that is to be learnt (its content and
            its end of turn).
        lead: how many ids open the text in front of the first content.
        split: where the reply starts; what lies before is the prompt.
        end: how many ids after the last content close the text.
        prompt_tokens: tokens of all contents that are not the assistant's, or not to be learnt.
        response_tokens: tokens of all assistant contents that are to be learnt.
    """

    ids: list[int]
    counted: list[bool]
    lead: int
    split: int
    end: int
    prompt_tokens: int
    response_tokens: int


def tokenize(
    tokenizer: Any, rows: Sequence[Sequence[str]], reasons: list[str | None], **options: Any
) -> list[list[list[int]]]:
    """Token ids of every text of every row, in one call of the tokenizer.

    A row that the tokenizer does not take gets its reason; rows that have a reason are skipped,
    and come back empty.
    """
    wanted = [[] if reasons[i] else list(texts) for i, texts in enumerate(rows)]
    try:
        ids = iter(_token_ids(tokenizer, [text for texts in wanted for text in texts], options))
        return [[next(ids) for _ in texts] for texts in wanted]
    except Exception:
        return [_tokenize_one(tokenizer, t, reasons, i, options) for i, t in enumerate(wanted)]


def _tokenize_one(
    tokenizer: Any,
    texts: list[str],
    reasons: list[str | None],
    row: int,
    options: dict[str, Any],
) -> list[list[int]]:
    try:
        return _token_ids(tokenizer, texts, options)
    except Exception as error:
        reasons[row] = reason(error)
        return []


def _token_ids(tokenizer: Any, texts: list[str], options: dict[str, Any]) -> list[list[int]]:
    if not texts:
        return []
    # verbose: texts are cut by our own rule, and counted, so no warning about their length.
    encoded = tokenizer(texts, return_attention_mask=False, verbose=False, **options)
    rows: list[list[int]] = encoded["input_ids"]
    return rows


def render(
    template: Template,
    conversations: Sequence[Conversation],
    reasons: list[str | None],
    reply: int = 0,
) -> list[Rendered]:
    """Put conversations into their template; rows with a reason come back empty.

    Args:
        template: bound to its tokenizer.
        conversations: without defects where their reason is None.
        reasons: written where the tokenizer or the template refuses a row.
        reply: which assistant turn begins the reply: 0 the first, -1 the last.
    """
    contents = tokenize(
        template.tokenizer,
        [[] if reasons[i] else [m["content"] for m in c] for i, c in enumerate(conversations)],
        reasons,
        add_special_tokens=False,
        split_special_tokens=True,
    )
    return [
        _render_one(template, conversation, contents[row], reasons, row, reply)
        for row, conversation in enumerate(conversations)
    ]


def _render_one(
    template: Template,
    conversation: Conversation,
    contents: list[list[int]],
    reasons: list[str | None],
    row: int,
    reply: int,
) -> Rendered:
    nothing = Rendered([], [], 0, 0, 0, 0, 0)
    if reasons[row]:
        return nothing
    roles = tuple(m["role"] for m in conversation)
    try:
        frames = template.frames(roles)
    except RolesError as error:
        reasons[row] = " ".join(str(error).split())
        return nothing
    except Exception as error:
        reasons[row] = reason(error)
        return nothing
    ids: list[int] = []
    counted: list[bool] = []
    replies: list[int] = []
    for role, before, content, close in zip(
        roles, frames.before, contents, frames.close, strict=True
    ):
        ids += before
        replies += [len(ids)] if role == "assistant" else []
        ids += content
        ids += close
        counted += [False] * len(before)
        counted += [role == "assistant"] * (len(content) + len(close))
    ids += frames.end
    counted += [False] * len(frames.end)
    of_assistant = [len(c) for r, c in zip(roles, contents, strict=True) if r == "assistant"]
    return Rendered(
        ids=ids,
        counted=counted,
        lead=len(frames.before[0]),
        split=replies[reply],
        end=len(frames.close[-1]) + len(frames.end),
        prompt_tokens=sum(map(len, contents)) - sum(of_assistant),
        response_tokens=sum(of_assistant),
    )


def cut(rendered: Rendered, limit: int, keep_end: bool) -> Rendered:
    """At most `limit` ids: the end of the prompt and the start of the reply.

    The reply gets what it needs, but the prompt keeps its last quarter of the limit, or all
    of itself if it is shorter. The opening (BOS, role tag) always stays in front; with
    `keep_end` so does what closes the text, which is where classifiers are read. Without it
    the reply just breaks off: an end of turn that does not follow must not be scored.
    """
    ids = rendered.ids
    split = rendered.split
    size = len(rendered.ids)
    if size <= limit:
        return rendered
    room = min(split, max(limit - (size - split), limit // 4))
    lead = min(rendered.lead, room)
    end = rendered.end if keep_end else 0
    keep = [
        slice(0, lead),
        slice(split - (room - lead), split),
        slice(split, split + max(0, limit - room - end)),
        slice(size - min(end, limit - room), size),
    ]
    return replace(
        rendered,
        ids=[i for part in keep for i in ids[part]],
        counted=[flag for part in keep for flag in rendered.counted[part]],
        lead=lead,
        split=room,
        end=end,
    )


def cut_all(
    measurement: Measurement, full: Sequence[Rendered], limit: int, keep_end: bool
) -> list[Rendered]:
    """Every text cut as `cut` does; notes the lengths, and the reason of a reply without tokens."""
    parts = [cut(rendered, limit, keep_end) for rendered in full]
    record_lengths(
        measurement,
        [len(rendered.ids) for rendered in full],
        [len(rendered.ids) for rendered in parts],
    )
    refuse_no_tokens(measurement.reasons, [rendered.response_tokens for rendered in full])
    return parts


def record_lengths(measurement: Measurement, full: Sequence[int], remaining: Sequence[int]) -> None:
    """Note how many tokens there were and how many of them were cut away."""
    measurement.tokens[:] = full
    measurement.truncated_tokens[:] = measurement.tokens - remaining
