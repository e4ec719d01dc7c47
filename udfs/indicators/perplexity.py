"""Perplexity of the responses under a causal language model, with and without their prompts.

    nll        = -mean log p(token | all that came before),  nats per token
    perplexity = exp(nll)                                     lower: the model expects the text
    nll_alone, perplexity_alone: the same tokens after nothing but the start token
    ifd        = perplexity / perplexity_alone                lower: the prompt explains more

The mean is over the tokens of every assistant turn plus the end of turn that closes it. Both
forms count exactly the same tokens, so `ifd` compares like with like. `input_length` and
`output_length` are the tokens of the other contents and of the assistant contents, without
template or special tokens, before any cut.

IFD: Li et al. 2024, arXiv 2308.12032. A text over `max_length` is cut by `rendering.cut`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.running.batching import for_each_batch, pad
from udfs.running.compiling import compile_in_place, compiled
from udfs.running.cpu import tuned
from udfs.running.float8 import use_float8
from udfs.running.measurement import Conversation, Measurement, Runtime, TwoSteps
from udfs.running.on_device import Results, inference
from udfs.running.packing import States, packed_states, packs, padded_states
from udfs.running.weights import load_model, load_tokenizer, position_limit, to_device
from udfs.texts.conversations import defects
from udfs.texts.rendering import Rendered, cut_all, render
from udfs.texts.templates import Template, start_token

INDICATORS = (
    "input_length",
    "output_length",
    "perplexity",
    "perplexity_alone",
    "ifd",
    "nll",
    "nll_alone",
)
_NEED_ALONE = {"perplexity_alone", "ifd", "nll_alone"}

# Logits held at once, as float32: enough rows for a matrix product at full speed, while a whole
# batch of them (16,384 tokens x 150,000 words) would be 10 GB.
_LOGITS_AT_ONCE = {"cpu": 2**23, "cuda": 2**26}
_BLOCK = 128  # rows that a matrix product takes together: others are computed as if they were more


class PerplexityScorer(TwoSteps):
    """Kind `causal_lm`: any model of transformers' AutoModelForCausalLM; see the module."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        unknown = set(spec.indicators) - set(INDICATORS)
        if unknown:
            raise UserError(f"a causal_lm measures {', '.join(INDICATORS)}, not {unknown.pop()!r}")
        self.indicators = spec.indicators
        self.tokenizer = load_tokenizer(runtime.folder, spec)
        self.template = Template(spec.template, self.tokenizer)
        self.start = start_token(self.tokenizer)
        model = load_model(AutoModelForCausalLM, spec, runtime)
        use_float8(model, spec, runtime.device)
        model = tuned(model, runtime.device)
        self.max_length = min(spec.max_length, position_limit(model))
        self.log_loss = TokenLogLoss(model, runtime.device)
        self.packed = self.log_loss.pack(runtime.token_budget) if runtime.packed else False
        compile_in_place(self.log_loss.body, runtime)
        self.log_loss.cross_entropy = compiled(self.log_loss.cross_entropy, runtime)
        self.device = runtime.device
        self.token_budget = runtime.token_budget

    def prepare(self, conversations: Sequence[Conversation]) -> tuple[Measurement, list[Rendered]]:
        """The lengths, which need no model, and every text as it is read."""
        measurement = Measurement.empty(self.indicators, len(conversations))
        measurement.reasons = defects(conversations)
        full = render(self.template, conversations, measurement.reasons)
        return measurement, cut_all(measurement, full, self.max_length, keep_end=False)

    def compute(self, prepared: tuple[Measurement, list[Rendered]]) -> Measurement:
        """The model's part."""
        measurement, cut_rows = prepared
        read = np.array([reason is None for reason in measurement.reasons])
        nll, alone = self._nll(cut_rows, measurement)
        values = {
            "input_length": np.where(
                read, [rendered.prompt_tokens for rendered in cut_rows], np.nan
            ),
            "output_length": np.where(
                read, [rendered.response_tokens for rendered in cut_rows], np.nan
            ),
            "nll": nll,
            "nll_alone": alone,
            "perplexity": np.exp(nll),
            "perplexity_alone": np.exp(alone),
            "ifd": np.exp(nll - alone),
        }
        measurement.values = {name: values[name] for name in self.indicators}
        return measurement.explained()

    def _nll(
        self, cut_rows: list[Rendered], measurement: Measurement
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean NLL after the prompt and alone; both forms of a text share the batches."""
        rows = [row for row, reason in enumerate(measurement.reasons) if reason is None]
        texts = [behind_prompt(cut_rows[row], self.start) for row in rows]
        if _NEED_ALONE & set(self.indicators):
            texts += [self._alone(cut_rows[row]) for row in rows]
        failures: list[str | None] = [None] * len(texts)
        losses = Results()

        def compute(batch: NDArray[np.int64]) -> None:
            self.log_loss.add_to(losses, batch, [texts[i] for i in batch])

        lengths = [len(t.ids) for t in texts]
        measurement.work = for_each_batch(
            lengths, self.token_budget, compute, failures, packed=self.packed
        )
        means = losses.means(len(texts))
        for i, failure in enumerate(failures):
            row = rows[i % len(rows)]
            measurement.reasons[row] = measurement.reasons[row] or failure
        nll = np.full((2, len(cut_rows)), np.nan)
        nll[0, rows] = means[: len(rows)]
        if len(texts) > len(rows):
            nll[1, rows] = means[len(rows) :]
        return nll[0], nll[1]

    def _alone(self, text: Rendered) -> "Counted":
        ids = [i for i, flag in zip(text.ids, text.counted, strict=True) if flag]
        return Counted([self.start, *ids], [False] + [True] * len(ids))


class Counted(NamedTuple):
    """Token ids, and which of them are scored; the first never is."""

    ids: list[int]
    counted: list[bool]


def behind_prompt(text: Rendered, start: int) -> Counted:
    """The text up to its last counted token; the start token in front if the first is counted."""
    ids = text.ids
    counted = text.counted
    if counted[0]:
        ids = [start, *ids]
        counted = [False, *counted]
    last = len(counted) - counted[::-1].index(True)
    return Counted(ids[:last], counted[:last])


class TokenLogLoss:
    """Mean NLL of the counted tokens without the logits of all the others.

    The body of the model runs on right-padded ids without a mask: under causal attention no real
    token sees the padding. Only the hidden states in front of counted tokens go through the head,
    a few rows at a time, and into float32.
    """

    def __init__(self, model: Any, device: str):
        self.body, self.head = model.get_decoder(), model.get_output_embeddings()
        if self.head is None or self.body is model:
            raise UserError(f"{type(model).__name__} is not a body with an output head on top")
        config = model.config.get_text_config()
        self.vocabulary = int(self.head.out_features)
        self.width = int(self.head.in_features)
        self.scale = float(getattr(config, "logit_scale", None) or 1.0)  # Cohere
        self.scale /= float(getattr(config, "logits_scaling", None) or 1.0)  # Granite
        self.soft_cap = getattr(config, "final_logit_softcapping", None)  # Gemma
        self._room: torch.Tensor | None = None
        self.size: int | None = None  # of packs
        self.cross_entropy: Callable[..., torch.Tensor] = self._cross_entropy
        self.to(device)
        self._check(model)

    def to(self, device: str) -> "TokenLogLoss":
        """Where the model is from now on."""
        self.device = device
        rows = _LOGITS_AT_ONCE[device.partition(":")[0]] // self.vocabulary
        self.at_once = rows // _BLOCK * _BLOCK or max(1, rows)
        return self

    def add_to(self, results: Results, rows: NDArray[np.int64], texts: Sequence[Counted]) -> None:
        """Add the NLL in nats of every counted token, under the row of its text."""
        with inference(self.device):
            losses, of_text = self.of_tokens(texts)
            results.add(rows[of_text], losses)

    def of_tokens(self, texts: Sequence[Counted]) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """NLL of every counted token, float32[t] with its gradient, and the text it is of."""
        ids, _ = pad([text.ids for text in texts], 0)
        counted, _ = pad([text.counted for text in texts], 0)
        rows, columns = np.nonzero(counted)
        states = self.states([text.ids[:-1] for text in texts])
        where = to_device(states.starts[rows] + columns - 1, self.device)
        targets = to_device(ids[rows, columns], self.device)
        return self._nll(states.hidden[where], targets), rows

    def after(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits float32[n, vocabulary] of the token after each text."""
        states = padded_states(self.body, texts, self.device)
        ends = np.array([len(text) for text in texts]) - 1
        return self._logits(states.hidden[to_device(states.starts + ends, self.device)])

    def pack(self, size: int) -> bool:
        """Read texts one after another in packs of `size` tokens, if the model can; whether so."""
        self.size = size if packs(self.body, self.device) else None
        return self.size is not None

    def states(self, rows: Sequence[Sequence[int]]) -> States:
        """Last hidden states of rows of ids, padded or packed."""
        if self.size is None:
            return padded_states(self.body, rows, self.device)
        return packed_states(self.body, rows, self.device, self.size)

    def _nll(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        parts = zip(hidden.split(self.at_once), targets.split(self.at_once), strict=True)
        return torch.cat([self._nll_of_part(*part) for part in parts])

    def _nll_of_part(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            in_room = self.device == "cpu"
            return (self._in_room if in_room else self.cross_entropy)(hidden, targets)
        # In training the logits are computed again on the way back instead of being kept.
        again: torch.Tensor = checkpoint(self.cross_entropy, hidden, targets, use_reentrant=False)
        return again

    def _cross_entropy(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self._logits(hidden), targets, reduction="none")

    def _in_room(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The same in memory used again: on a CPU fresh memory costs as much as the head."""
        if self._room is None:
            with torch.inference_mode(False):
                self._room = torch.empty(2, self.at_once, self.vocabulary)
        logits, log_odds = self._room[:, : len(targets)]
        logits = self._scaled(logits.copy_(self.head(hidden)))
        torch.log_softmax(logits, 1, out=log_odds)
        return -log_odds.gather(1, targets[:, None])[:, 0]

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._scaled(self.head(hidden).float())

    def _scaled(self, logits: torch.Tensor) -> torch.Tensor:
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.soft_cap:
            logits = torch.tanh(logits / self.soft_cap) * self.soft_cap
        return logits

    def _check(self, model: Any) -> None:
        """Refuse a model whose logits are more than its head, scaled or capped, says."""
        ids = torch.arange(1, 17, device=self.device).remainder(self.vocabulary)[None]
        with inference(self.device):
            theirs = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
            hidden = self.body(input_ids=ids, use_cache=False).last_hidden_state
            ours = self._logits(hidden).log_softmax(-1)
        tolerance = 1e-3 if next(self.body.parameters()).dtype == torch.float32 else 0.25
        if not torch.allclose(theirs, ours, rtol=1e-3, atol=tolerance):
            raise UserError(
                f"{type(model).__name__} makes its logits in a way that perplexity does not "
                "know; choose another causal LM"
            )
