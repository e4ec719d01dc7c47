"""The Open-Assistant reward models on GPT-NeoX (Pythia), without the Open-Assistant package.

A GPT-NeoX body, and on its last hidden state one linear output with bias (`out_proj`) that is
read at the last token, or averaged over all (`pooling` of the config). The raw output is the
reward, higher: better. Trained on `<|prompter|>…<|endoftext|><|assistant|>…<|endoftext|>`, template
`oasst`. transformers does not know the model type, and its own classifier head has no bias.

Reference: LAION-AI/Open-Assistant `model_training/models/reward_model.py`. All other reward
models are plain sequence classifiers, see `classifier.py`.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPTNeoXConfig, GPTNeoXModel, GPTNeoXPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from instructmining.models.lists import ModelSpec
from udfs.indicators.classifier import SequenceClassifierScorer
from udfs.running.measurement import Runtime
from udfs.running.packing import packs
from udfs.running.weights import load_model


class GPTNeoXRewardConfig(GPTNeoXConfig):
    """The GPT-NeoX config with the name and the pooling of a reward model."""

    model_type = "gpt_neox_reward_model"
    pooling: str = "last"


class GPTNeoXRewardModel(GPTNeoXPreTrainedModel):
    """`logits` float[rows, 1]: the reward of each text."""

    config_class = GPTNeoXRewardConfig

    def __init__(self, config: Any):
        super().__init__(config)
        self.gpt_neox = GPTNeoXModel(config)
        self.out_proj = torch.nn.Linear(config.hidden_size, 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """Pool the last hidden state over real tokens, then project.

        Rows are padded on the right: under causal attention their tokens need no mask.
        """
        hidden = self.gpt_neox(input_ids, use_cache=False).last_hidden_state
        if self.config.pooling == "mean":
            weights = attention_mask[:, :, None].to(hidden.dtype)
            pooled = (hidden * weights).sum(1) / weights.sum(1)
        else:
            rows = torch.arange(len(hidden), device=hidden.device)
            pooled = hidden[rows, attention_mask.sum(1) - 1]
        return SequenceClassifierOutput(logits=self.out_proj(pooled))


class GPTNeoXRewardScorer(SequenceClassifierScorer):
    """Kind `gpt_neox_reward`: OpenAssistant/oasst-rm-*-pythia-*."""

    def _load(self, spec: ModelSpec, runtime: Runtime) -> Any:
        config = GPTNeoXRewardConfig.from_pretrained(runtime.folder, num_labels=1)
        return load_model(GPTNeoXRewardModel, spec, runtime, config=config)

    def _packs(self) -> bool:
        pooled = self.model.config.pooling == "last"
        return pooled and packs(self.model.base_model, self.device)

    def _head(self) -> Any:
        return self.model.out_proj

    def _last(self, ids: list[int]) -> int:
        return len(ids) - 1

    def _inputs(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int64]]:
        return {"input_ids": ids, "attention_mask": mask}  # which it pools by
