"""One number per conversation from any sequence classifier.

Serves reward models (`label` unset: the raw logit, on the scale of the checkpoint) and
classifiers that a user declares (`label`: the probability of that label). What the model reads is
the template's choice: `pair`, `response`, `plain`, `chat`, `oasst`; always up to the last assistant
turn. A text over `max_length` keeps the end of its prompt, the start of its reply and what
closes it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.running.batching import pad
from udfs.running.compiling import compile_in_place
from udfs.running.cpu import tuned
from udfs.running.float8 import use_float8
from udfs.running.measurement import Conversation, Measurement, Message, Runtime, TwoSteps
from udfs.running.on_device import inference, is_causal, measured
from udfs.running.packing import packed_states, packs
from udfs.running.weights import load_model, load_tokenizer, position_limit, to_device
from udfs.texts.conversations import last_reply, reply_defects, up_to_last_reply
from udfs.texts.rendering import Rendered, cut_all, render
from udfs.texts.templates import Template


class SequenceClassifierScorer(TwoSteps):
    """Kind `sequence_classifier`: transformers' AutoModelForSequenceClassification."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        self.indicators = spec.indicators
        self.tokenizer = load_tokenizer(runtime.folder, spec)
        self.template = Template(spec.template, self.tokenizer)
        model = self._load(spec, runtime)
        use_float8(model, spec, runtime.device)
        self.model = tuned(with_float32_head(model), runtime.device)
        self.max_length = min(spec.max_length, position_limit(self.model))
        # A model's own code may see both ways whatever its layers say.
        self.causal = is_causal(self.model) and not spec.trust_remote_code
        self.device = runtime.device
        self.read = _reading(self.model, spec)
        self.pad_id, alone = _padding(self.model, self.tokenizer)
        self.token_budget = 1 if alone else runtime.token_budget
        self.packed = runtime.packed and self.causal and not alone and self._packs()
        compile_in_place(self.model.base_model if self.packed else self.model, runtime)

    def _load(self, spec: ModelSpec, runtime: Runtime) -> Any:
        return load_model(AutoModelForSequenceClassification, spec, runtime)

    def prepare(self, conversations: Sequence[Conversation]) -> tuple[Measurement, list[Rendered]]:
        """The last assistant turn of every conversation after its history."""
        measurement = Measurement.empty(self.indicators, len(conversations))
        measurement.reasons = reply_defects(conversations)
        shown = [
            [] if measurement.reasons[row] else shown_messages(conversation, self.template.name)
            for row, conversation in enumerate(conversations)
        ]
        full = render(self.template, shown, measurement.reasons, reply=-1)
        return measurement, cut_all(measurement, full, self.max_length, keep_end=True)

    def compute(self, prepared: tuple[Measurement, list[Rendered]]) -> Measurement:
        """One number per text."""
        measurement, cut_rows = prepared
        rewards = measured(
            measurement,
            [len(rendered.ids) for rendered in cut_rows],
            self.token_budget,
            lambda rows: self._values([cut_rows[row] for row in rows]),
            self.packed,
        )
        rewards.into(measurement.values[self.indicators[0]])
        return measurement.explained()

    def _values(self, texts: list[Rendered]) -> torch.Tensor:
        if self.packed:
            return self._values_of_pack([text.ids for text in texts])
        arrays = self._inputs(*pad([t.ids for t in texts], self.pad_id))
        if self.template.name == "pair" and "token_type_ids" in self.tokenizer.model_input_names:
            kinds = [[0] * t.split + [1] * (len(t.ids) - t.split) for t in texts]
            arrays["token_type_ids"] = pad(kinds, 0)[0]
        with inference(self.device):
            inputs = {name: to_device(array, self.device) for name, array in arrays.items()}
            return self.read(self.model(**inputs).logits.double())

    def _packs(self) -> bool:
        """Whether the model gives packed texts the same numbers."""
        return hasattr(self.model, "score") and packs(self.model.base_model, self.device)

    def _values_of_pack(self, texts: list[list[int]]) -> torch.Tensor:
        with inference(self.device):
            states = packed_states(self.model.base_model, texts, self.device, self.token_budget)
            read = to_device(states.starts + [self._last(ids) for ids in texts], self.device)
            return self.read(self._head()(states.hidden[read]).double())

    def _head(self) -> Any:
        return self.model.score

    def _last(self, ids: list[int]) -> int:
        """Where a text is read: at its last token that is not the padding id, as transformers."""
        return max((i for i, token in enumerate(ids) if token != self.pad_id), default=len(ids) - 1)

    def _inputs(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int64]]:
        """What the model reads of right-padded rows; a causal one finds their ends by the ids."""
        return {"input_ids": ids} if self.causal else {"input_ids": ids, "attention_mask": mask}


def with_float32_head(model: Any) -> Any:
    """The model, the layer that makes its outputs in float32: few weights, and the last rounding.

    In bfloat16 a reward between 8 and 16 has steps of 0.06: many texts would have the same.
    """
    heads = (getattr(model, name, None) for name in ("score", "classifier", "out_proj"))
    for head in (module for module in heads if isinstance(module, torch.nn.Module)):
        head.float().register_forward_pre_hook(_in_float32)
    return model


def _in_float32(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(states.float() for states in inputs)


def shown_messages(conversation: Conversation, template: str) -> list[Message]:
    """The messages up to the last assistant turn, as the template of a classifier needs them."""
    if template == "response":
        return up_to_last_reply(conversation)[-1:]
    if template == "pair":
        history, reply = last_reply(conversation)
        return [{"role": "user", "content": history}, {"role": "assistant", "content": reply}]
    return up_to_last_reply(conversation)


def _reading(model: Any, spec: ModelSpec) -> Callable[[torch.Tensor], torch.Tensor]:
    """How the logits double[rows, labels] become one number per row."""
    labels = {str(name): int(i) for name, i in (model.config.label2id or {}).items()}
    count = int(model.config.num_labels)
    if spec.label is None:
        if count > 1:
            raise UserError(
                f"model {spec.source} has {count} outputs; name one of them as `label`: "
                f"{', '.join(labels)}"
            )
        return lambda logits: logits[:, 0]
    if spec.label not in labels:
        raise UserError(f"model {spec.source} has no label {spec.label!r}: {', '.join(labels)}")
    chosen = labels[spec.label]
    if count == 1 or model.config.problem_type == "multi_label_classification":
        return lambda logits: logits[:, chosen].sigmoid()
    return lambda logits: logits.softmax(1)[:, chosen]


def _padding(model: Any, tokenizer: Any) -> tuple[int, bool]:
    """The id to pad with, and whether texts have to go alone.

    Decoders are read at their last token that is not the padding id of their *config*; without
    one only a text by itself is read at the right place.
    """
    # Some configs have no such field in transformers 5.0.
    of_config = getattr(model.config.get_text_config(), "pad_token_id", None)
    if of_config is not None:
        return int(of_config), False
    decoder = hasattr(model, "score") and not hasattr(model, "classifier")
    return int(tokenizer.pad_token_id or 0), decoder
