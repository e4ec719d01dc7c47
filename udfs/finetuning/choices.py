"""Which option a finetuned model takes: the likeliest, by its own measure; torch, no Spark.

    taken = argmin over options of the mean NLL of the option's tokens after the question

The mean per token, as in lm-evaluation-harness the likelihood is divided by the length: a sum would
favour short options.
"""

from collections.abc import Sequence

import numpy as np

from udfs.finetuning.finetuner import Finetuner
from udfs.running.measurement import Conversation
from udfs.texts.conversations import up_to_last_reply


def choose(
    finetuner: Finetuner, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
) -> list[str]:
    """The option taken in every conversation with the weights as they are now.

    Args:
        finetuner: after its `run`.
        conversations: each with an assistant turn, whose place the options take.
        options: of each conversation, two or more.

    Returns:
        An option each; blank where none of them has a token within `finetune.max_length`.
    """
    asked = [
        [*up_to_last_reply(conversation)[:-1], {"role": "assistant", "content": option}]
        for conversation, replies in zip(conversations, options, strict=True)
        for option in replies
    ]
    losses = finetuner.mean_losses(asked)
    ends = np.cumsum([len(replies) for replies in options])
    parts = np.split(np.array(losses), ends[:-1])
    return [_likeliest(replies, part) for replies, part in zip(options, parts, strict=True)]


def _likeliest(replies: Sequence[str], losses: np.ndarray) -> str:
    return "" if np.isnan(losses).all() else replies[int(np.nanargmin(losses))]
