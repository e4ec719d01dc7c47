"""Which option a finetuned model takes: the likeliest, by its own measure; torch, no Spark.

    taken = argmin over options of the mean NLL of the option's tokens after the question

The mean per token, as in lm-evaluation-harness the likelihood is divided by the length: a sum would
favour short options. Where options are whole responses, some are likely after any question; then
what is compared is by how much the question lowers an option's loss (Holtzman et al. 2021, arXiv
2104.08315).
"""

from collections.abc import Sequence

import numpy as np

from udfs.finetuning.finetuner import Finetuner
from udfs.running.measurement import Conversation
from udfs.texts.conversations import up_to_last_reply


def choose(
    finetuner: Finetuner,
    conversations: Sequence[Conversation],
    options: Sequence[Sequence[str]],
    explained: bool = False,
) -> list[str]:
    """The option taken in every conversation with the weights as they are now.

    Args:
        finetuner: after its `run`.
        conversations: each with an assistant turn, whose place the options take.
        options: of each conversation, two or more.
        explained: compare by how much the question lowers an option's loss.

    Returns:
        An option each; blank where none of them has a token within `finetune.max_length`.
    """
    asked = [
        [*up_to_last_reply(conversation)[:-1], {"role": "assistant", "content": option}]
        for conversation, replies in zip(conversations, options, strict=True)
        for option in replies
    ]
    losses = np.array(finetuner.mean_losses(asked))
    if explained:
        losses -= finetuner.mean_losses([conversation[-1:] for conversation in asked])
    ends = np.cumsum([len(replies) for replies in options])
    parts = np.split(losses, ends[:-1])
    return [_likeliest(replies, part) for replies, part in zip(options, parts, strict=True)]


def _likeliest(replies: Sequence[str], losses: np.ndarray) -> str:
    return "" if np.isnan(losses).all() else replies[int(np.nanargmin(losses))]
