"""What a served chat model answers to a question about the last reply: P(yes), or a number.

    without `served.scale`   P(yes) / (P(yes) + P(no)), between 0 and 1
    scale [a, b]             the mean of the answers a … b, each by its probability

The model is sent one message: the conversation up to its last reply, then the question of the model
list. The probabilities are those of the first word of its answer (`top_logprobs`), summed over
the ways in which a word is written (`Yes`, ` yes`, …). Where the server gives none, and for scales
that go beyond one digit, the answer's text counts: yes is 1, no is 0, else its first number.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from instructmining.models.lists import ModelSpec
from udfs.running.measurement import Conversation, Runtime
from udfs.running.served import ServedScorer
from udfs.running.text_indicator import Undefined
from udfs.texts.spoken import transcript

_ANSWER_TOKENS = 8
_LIKELIEST = 20  # answers whose probabilities are asked for, the most that OpenAI gives
# How tokenizers write a space before a word, and a line break.
_SPACES = str.maketrans({"▁": " ", "Ġ": " ", "Ċ": " "})


class ChatScorer(ServedScorer):
    """Kind `endpoint_chat`: any model behind OpenAI's chat completions."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        super().__init__(spec, runtime)
        self.question = spec.question or ""
        self.scale = self.served.scale

    @property
    def path(self) -> str:
        """OpenAI's."""
        return "/chat/completions"

    def body(self, conversation: Conversation) -> dict[str, Any]:
        """One message of the user: a system message is not taken by every model."""
        text = f"<conversation>\n{transcript(conversation)}\n</conversation>\n\n{self.question}"
        return {
            "messages": [{"role": "user", "content": text}],
            "chat_template": self.served.chat_template,
            "temperature": 0,
            "max_tokens": _ANSWER_TOKENS,
            "logprobs": True,
            "top_logprobs": _LIKELIEST,
        }

    def value(self, reply: Any) -> float | Undefined:
        """Null where the model answers something else."""
        choice = reply["choices"][0]
        likeliest = _first_word(choice)
        text = choice["message"]["content"]
        if not isinstance(text, str):
            raise TypeError("no text")
        if self.scale is None:
            return _yes(likeliest, text)
        low, high = self.scale
        if low >= 0 and high <= 9 and likeliest:
            return _mean(likeliest, low, high)
        return _number(text, low, high)


def _first_word(choice: Mapping[str, Any]) -> dict[str, float]:
    """Probabilities of what the answer may begin with, in lower case; empty: not given."""
    places = (choice.get("logprobs") or {}).get("content") or []
    words: dict[str, float] = {}
    for place in places:
        if not _word(place["token"]):
            continue  # a line break before the answer
        for candidate in place.get("top_logprobs") or []:
            word = _word(candidate["token"])
            words[word] = words.get(word, 0.0) + math.exp(float(candidate["logprob"]))
        break
    return words


def _word(token: str) -> str:
    return token.translate(_SPACES).strip().strip("\"'*.").lower()


def _yes(likeliest: Mapping[str, float], text: str) -> float | Undefined:
    if likeliest:
        yes, no = likeliest.get("yes", 0.0), likeliest.get("no", 0.0)
        if yes + no:
            return yes / (yes + no)
        return Undefined("neither yes nor no is among the likeliest answers")
    begin = re.match(r"\W*(yes|no)\b", text, re.IGNORECASE)
    if not begin:
        return Undefined("the answer is neither yes nor no")
    return float(begin[1].lower() == "yes")


def _mean(likeliest: Mapping[str, float], low: int, high: int) -> float | Undefined:
    answers = {n: likeliest.get(str(n), 0.0) for n in range(low, high + 1)}
    total = sum(answers.values())
    if not total:
        return Undefined(f"no number from {low} to {high} is among the likeliest answers")
    return sum(n * probability for n, probability in answers.items()) / total


def _number(text: str, low: int, high: int) -> float | Undefined:
    match = re.search(r"-?\d+(?:\.\d+)?", text)
    if not match or not low <= float(match[0]) <= high:
        return Undefined(f"the answer holds no number from {low} to {high}")
    return float(match[0])
