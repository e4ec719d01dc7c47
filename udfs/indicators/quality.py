"""Reward, naturalness, coherence and understandability from one pass of a small encoder.

The model reads the history and the last assistant turn. `reward` is a logit scaled to mean 0 and
standard deviation 1 on Dolly, higher is better; the other three are the probability of "yes", as
in UniEval. What the shipped model can and cannot tell apart: `conf/models/embedded/quality`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.indicators.quality_model import HEADS, Pair, load_quality_model, pair
from udfs.running.batching import pad
from udfs.running.compiling import compile_in_place
from udfs.running.cpu import tuned
from udfs.running.measurement import Conversation, Measurement, Runtime, TwoSteps
from udfs.running.on_device import inference, measured
from udfs.running.weights import load_tokenizer, to_device
from udfs.texts.conversations import last_reply, refuse_no_tokens, reply_defects
from udfs.texts.rendering import record_lengths, tokenize


class QualityScorer(TwoSteps):
    """Kind `quality_heads`: the embedded quality model."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        unknown = set(spec.indicators) - set(HEADS)
        if unknown:
            raise UserError(f"quality_heads measures {', '.join(HEADS)}, not {unknown.pop()!r}")
        self.indicators = spec.indicators
        self.model, self.config = load_quality_model(spec, runtime)
        tuned(self.model.encoder, runtime.device)
        compile_in_place(self.model.encoder, runtime)
        self.tokenizer = load_tokenizer(str(runtime.base), spec)
        self.device = runtime.device
        self.token_budget = runtime.token_budget

    def prepare(self, conversations: Sequence[Conversation]) -> tuple[Measurement, dict[int, Pair]]:
        """The last assistant turn of every conversation that has one, after its history."""
        measurement = Measurement.empty(self.indicators, len(conversations))
        measurement.reasons = reply_defects(conversations)
        texts = [
            [] if measurement.reasons[row] else list(last_reply(conversation))
            for row, conversation in enumerate(conversations)
        ]
        ids = tokenize(self.tokenizer, texts, measurement.reasons, add_special_tokens=False)
        refuse_no_tokens(measurement.reasons, [len(parts[-1]) if parts else 0 for parts in ids])
        rows = [row for row, reason in enumerate(measurement.reasons) if reason is None]
        pairs = {row: pair(ids[row][0], ids[row][1], self.config) for row in rows}
        full = [sum(map(len, parts)) for parts in ids]
        read = [pairs[row].read if row in pairs else 0 for row in range(len(ids))]
        record_lengths(measurement, full, read)
        return measurement, pairs

    def compute(self, prepared: tuple[Measurement, dict[int, Pair]]) -> Measurement:
        """Score every pair."""
        measurement, pairs = prepared
        logits = np.full((len(measurement.reasons), len(HEADS)), np.nan)
        scored = measured(
            measurement,
            [len(pairs[row].ids) if row in pairs else 0 for row in range(len(logits))],
            self.token_budget,
            lambda rows: self._logits([pairs[row] for row in rows]),
        )
        scored.into(logits)
        measurement.values = {name: self._scaled(name, logits) for name in self.indicators}
        return measurement.explained()

    def _logits(self, pairs: list[Pair]) -> torch.Tensor:
        ids, mask = pad([pair.ids for pair in pairs], self.config["pad_id"])
        types, _ = pad([pair.types for pair in pairs], 0)
        on_device = (to_device(array, self.device) for array in (ids, types, mask))
        with inference(self.device):
            logits: torch.Tensor = self.model(*on_device)
        return logits

    def _scaled(self, name: str, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        column = logits[:, HEADS.index(name)]
        if name == "reward":
            return (column - self.config["reward_mean"]) / self.config["reward_std"]
        return 1 / (1 + np.exp(-column))
