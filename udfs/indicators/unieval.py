"""UniEval's dialogue questions: naturalness, coherence and understandability of a response.

    score = P(yes) / (P(yes) + P(no)) = sigmoid(logit_yes - logit_no)

between 0 and 1, higher: better; asked of a T5 at the first decoder step: one encoder pass and one
decoder step per question. The history is the text of all messages before the last assistant
turn, the response is that turn. Like the original, a text over `max_length` (1024) loses its end,
which for coherence is the end of the history.

Reference: Zhong et al. 2022, arXiv 2210.07197; questions as in maszhongming/UniEval `utils.py`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSeq2SeqLM

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.running.batching import for_each_batch, pad
from udfs.running.compiling import compile_in_place
from udfs.running.cpu import tuned
from udfs.running.measurement import Conversation, Measurement, Runtime, TwoSteps
from udfs.running.on_device import Results, inference
from udfs.running.weights import load_model, load_tokenizer, to_device
from udfs.texts.conversations import last_reply, reply_defects
from udfs.texts.rendering import record_lengths, tokenize
from udfs.texts.templates import special_tokens

QUESTIONS = {
    "naturalness": "question: Is this a natural response in the dialogue? </s> "
    "response: {response}",
    "coherence": "question: Is this a coherent response given the dialogue history? </s> "
    "response: {response} </s> dialogue history: {history}",
    "understandability": "question: Is this an understandable response in the dialogue? </s> "
    "response: {response}",
}


class UniEvalScorer(TwoSteps):
    """Kind `unieval`: a T5 trained to answer Yes or No, such as MingZhong/unieval-dialog."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        unknown = set(spec.indicators) - set(QUESTIONS)
        if unknown:
            raise UserError(f"unieval measures {', '.join(QUESTIONS)}, not {unknown.pop()!r}")
        self.indicators = spec.indicators
        self.max_length = spec.max_length
        self.tokenizer = load_tokenizer(runtime.folder, spec)
        self.closing = len(special_tokens(self.tokenizer)[2])
        self.model = tuned(load_model(AutoModelForSeq2SeqLM, spec, runtime), runtime.device)
        compile_in_place(self.model, runtime)
        self.answers = [self.tokenizer(word)["input_ids"][0] for word in ("Yes", "No")]
        if self.answers[0] == self.answers[1]:
            raise UserError(f"model {spec.source}: its tokenizer cannot tell Yes from No")
        self.device = runtime.device
        self.token_budget = runtime.token_budget

    def prepare(
        self, conversations: Sequence[Conversation]
    ) -> tuple[Measurement, list[list[list[int]]]]:
        """Every question of every conversation; `tokens` are those of all questions together."""
        measurement = Measurement.empty(self.indicators, len(conversations))
        measurement.reasons = reply_defects(conversations)
        texts = [
            [] if measurement.reasons[row] else self._questions(conversation)
            for row, conversation in enumerate(conversations)
        ]
        full = tokenize(self.tokenizer, texts, measurement.reasons)
        cut_rows = [[self._cut(ids) for ids in row] for row in full]
        record_lengths(measurement, _totals(full), _totals(cut_rows))
        return measurement, cut_rows

    def compute(self, prepared: tuple[Measurement, list[list[list[int]]]]) -> Measurement:
        """P(yes) for each question about each conversation."""
        measurement, cut_rows = prepared
        asked = [(row, i) for row, questions in enumerate(cut_rows) for i in range(len(questions))]
        scores = np.full(len(asked), np.nan)
        failures: list[str | None] = [None] * len(asked)
        answers = Results()

        def answer(batch: NDArray[np.int64]) -> None:
            texts = [cut_rows[row][i] for row, i in (asked[b] for b in batch)]
            answers.add(batch, self._scores(texts))

        lengths = [len(cut_rows[row][i]) for row, i in asked]
        measurement.work = for_each_batch(lengths, self.token_budget, answer, failures)
        answers.into(scores)
        for (row, i), score, failure in zip(asked, scores, failures, strict=True):
            measurement.values[self.indicators[i]][row] = score
            measurement.reasons[row] = measurement.reasons[row] or failure
        return measurement.explained()

    def _questions(self, conversation: Conversation) -> list[str]:
        history, response = last_reply(conversation)
        return [
            QUESTIONS[name].format(history=history, response=response) for name in self.indicators
        ]

    def _cut(self, ids: list[int]) -> list[int]:
        if len(ids) <= self.max_length:
            return ids
        return ids[: self.max_length - self.closing] + ids[len(ids) - self.closing :]

    def _scores(self, texts: list[list[int]]) -> torch.Tensor:
        pad_id = int(self.tokenizer.pad_token_id or 0)
        ids, mask = (to_device(array, self.device) for array in pad(texts, pad_id))
        start = torch.full_like(ids[:, :1], self.model.config.decoder_start_token_id)
        with inference(self.device):
            logits = self.model(
                input_ids=ids, attention_mask=mask, decoder_input_ids=start, use_cache=False
            ).logits[:, 0, self.answers]
            yes, no = logits.double().unbind(1)
            return torch.sigmoid(yes - no)


def _totals(rows: list[list[list[int]]]) -> list[int]:
    return [sum(len(ids) for ids in row) for row in rows]
