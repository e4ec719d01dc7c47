"""One vector per conversation from a causal language model, for likeness to target examples.

    vector = Σ i · h_i / Σ i,  scaled to unit length

where h_i is the last hidden state of token i of prompt and response: later tokens have seen more
and weigh more. RDS+ of Ivison et al. 2025, arXiv 2503.01807; weights of Muennighoff 2022, arXiv
2202.08904. The model, its template and its cut are those of the perplexity stage.
"""

from collections.abc import Sequence

import numpy as np
import torch

from instructmining.models.lists import ModelSpec
from udfs.indicators.perplexity import PerplexityScorer
from udfs.running.measurement import Measurement, Runtime
from udfs.running.on_device import inference, measured
from udfs.running.weights import to_device
from udfs.texts.rendering import Rendered


class RepresentationScorer(PerplexityScorer):
    """Kind `representation`: the causal language models that perplexity reads."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        super().__init__(spec.model_copy(update={"indicators": ()}), runtime)

    def compute(self, prepared: tuple[Measurement, list[Rendered]]) -> Measurement:
        """Unit vectors float32[n, d]; a row that could not be read is NaN throughout."""
        measurement, texts = prepared
        vectors = np.full((len(texts), self.log_loss.width), np.nan, dtype=np.float32)
        encoded = measured(
            measurement,
            [len(text.ids) for text in texts],
            self.token_budget,
            lambda rows: self._pooled([texts[row].ids for row in rows]),
            self.packed,
        )
        encoded.into(vectors)
        measurement.vectors = vectors
        return measurement.explained()

    def _pooled(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """float32[rows, d] of unit length."""
        lengths = np.array([len(row) for row in rows])
        row_of_token = np.repeat(np.arange(len(rows)), lengths)
        place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        with inference(self.device):
            states = self.log_loss.states(rows)
            read = to_device(states.starts[row_of_token] + place, self.device)
            weights = to_device((place + 1).astype(np.float32), self.device)
            sums = torch.zeros(len(rows), states.hidden.shape[1], device=self.device)
            weighted = states.hidden[read].float() * weights[:, None]
            sums.index_add_(0, to_device(row_of_token, self.device), weighted)
            return torch.nn.functional.normalize(sums, dim=1)
