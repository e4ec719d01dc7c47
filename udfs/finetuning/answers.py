"""What a finetuned model answers, many prompts at a time; torch, no Spark.

A prompt is everything in front of the conversation's last assistant turn, put into the template
that the model was finetuned with. Prompts are padded on the left, so that every answer starts at
the end of its own prompt.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import GenerationConfig

from udfs.finetuning.finetuner import Finetuner
from udfs.running.batching import token_batches
from udfs.running.measurement import Conversation
from udfs.running.on_device import inference
from udfs.running.packing import reading_masks
from udfs.running.weights import position_limit, to_device
from udfs.texts.conversations import defects, up_to_last_reply
from udfs.texts.rendering import render


class Answer(NamedTuple):
    """A model's reply, and whether it came to its end of turn before the limit of tokens."""

    text: str
    finished: bool


def answer(
    finetuner: Finetuner,
    conversations: Sequence[Conversation],
    most: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Answer]:
    """Reply to every conversation with the weights as they are now.

    Args:
        finetuner: after its `run`.
        conversations: each with an assistant turn, whose text is not shown to the model.
        most: tokens of an answer.
        temperature: 0 takes the likeliest token every time.
        seed: of the draw, where there is one.
    """
    torch.manual_seed(seed)
    prompts = [_prompt_ids(finetuner, conversation, most) for conversation in conversations]
    answers = [Answer("", False)] * len(prompts)
    for batch in token_batches([len(ids) + most for ids in prompts], finetuner.token_budget):
        rows = _generate(finetuner, [prompts[i] for i in batch], most, temperature)
        for place, ids in zip(batch, rows, strict=True):
            answers[place] = _read(finetuner, ids)
    return answers


def _prompt_ids(finetuner: Finetuner, conversation: Conversation, most: int) -> list[int]:
    """Up to where the reply starts; of a prompt that is too long the beginning is cut."""
    shown = up_to_last_reply(conversation)
    reasons = defects([shown])
    [rendered] = render(finetuner.template, [shown], reasons, reply=-1)
    if reasons[0]:
        raise ValueError(f"an evaluation prompt cannot be put to the model: {reasons[0]}")
    room = min(finetuner.max_length, position_limit(finetuner.model) - most)
    ids = rendered.ids[: rendered.split]
    lead = rendered.lead
    if len(ids) > room:
        ids = [*ids[:lead], *ids[len(ids) - max(1, room - lead) :]]
    # A template without anything in front of the first content: begin as perplexity does.
    return ids or [finetuner.start]


def _generate(
    finetuner: Finetuner, prompts: Sequence[Sequence[int]], most: int, temperature: float
) -> list[list[int]]:
    ends = _ends(finetuner)
    tokenizer = finetuner.tokenizer
    pad = ends[0] if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
    longest = max(map(len, prompts))
    ids = np.full((len(prompts), longest), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :], mask[row, longest - len(prompt) :] = prompt, 1
    drawn: dict[str, Any] = {"temperature": temperature, "top_k": 0} if temperature else {}
    how = GenerationConfig(
        max_new_tokens=most,
        do_sample=bool(temperature),
        eos_token_id=ends,
        pad_token_id=pad,
        use_cache=True,
        **drawn,
    )
    device = str(finetuner.model.device)
    finetuner.model.eval()
    finetuner.model.generation_config = GenerationConfig()  # its own would fill in what is not said
    with inference(device), reading_masks(finetuner.log_loss.body):
        out = finetuner.model.generate(
            input_ids=to_device(ids, device),
            generation_config=how,
            attention_mask=to_device(mask, device),
        )
    rows: list[list[int]] = out[:, longest:].tolist()
    return rows


def _ends(finetuner: Finetuner) -> list[int]:
    """Tokens that end an answer: the template's end of turn, the tokenizer's end of text."""
    close = finetuner.template.frames(("user", "assistant")).close[-1]
    eos = finetuner.tokenizer.eos_token_id
    return list(dict.fromkeys(int(i) for i in (*close[:1], eos) if i is not None))


def _read(finetuner: Finetuner, ids: Sequence[int]) -> Answer:
    ends = set(_ends(finetuner))
    end = next((place for place, i in enumerate(ids) if i in ends), None)
    text: str = finetuner.tokenizer.decode(ids[:end], skip_special_tokens=True)
    return Answer(text.strip(), end is not None)
