"""Finetune a causal language model on a subset and measure what became of it; torch, no Spark.

    loss = Σ NLL of the reference tokens / number of reference tokens,  nats per token, per set

A process loads the base model once; every run starts from its weights again, so that many short
runs do not pay the start-up of each. Only response tokens (and the end of turn that closes them)
count in the loss, in training as in evaluation.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from udfs.finetuning.adapters import adapter_of, inject_lora, peak_rate, recompute_activations
from udfs.finetuning.flat_weights import FlatAdamW
from udfs.finetuning.master_weights import Masters
from udfs.indicators.perplexity import Counted, TokenLogLoss, behind_prompt
from udfs.running.batching import Rows, token_batches, token_packs
from udfs.running.compiling import compile_in_place, compiled
from udfs.running.device import keep_few_primitives, return_freed_memory
from udfs.running.measurement import Conversation, Runtime
from udfs.running.on_device import Results, kernel_order
from udfs.running.weights import load_model, load_tokenizer, position_limit
from udfs.texts.conversations import defects
from udfs.texts.rendering import cut, render
from udfs.texts.templates import Template, start_token

Evaluations = Mapping[str, Sequence[Conversation]]


@dataclass(frozen=True)
class Outcome:
    """What one run came to.

    Attributes:
        losses: by evaluation set, mean NLL of its reference tokens in nats.
        evaluated: by evaluation set, its reference tokens.
        prompt_losses: by evaluation set, mean NLL of each conversation with a reference token, in
            the order of the set; empty where several processes shared the run.
        prompt_tokens: reference tokens of these conversations.
        train_loss: mean NLL of the last epoch's response tokens, as seen while training.
        tokens: response tokens trained on, all epochs.
        read: tokens of the sequences trained on, all epochs.
        steps: updates of the weights.
        unused: examples without a response token inside `max_length`.
        seconds: of training and evaluation together.
    """

    losses: dict[str, float]
    evaluated: dict[str, int]
    prompt_losses: dict[str, list[float]]
    prompt_tokens: dict[str, list[int]]
    train_loss: float
    tokens: int
    read: int
    steps: int
    unused: int
    seconds: float


class Evaluated(NamedTuple):
    """One evaluation set: mean NLL in nats, of its tokens and of each conversation, and tokens."""

    loss: float
    means: list[float]
    tokens: list[int]


class Finetuner:
    """A base model that is finetuned again and again, each time from its own weights."""

    def __init__(
        self,
        spec: ModelSpec,
        folder: str,
        device: str,
        dtype: str,
        token_budget: int,
        recipe: Finetune,
        how: Measure | None = None,
        recomputes: bool = True,
        keeps_start: bool = False,
    ):
        keep_few_primitives()
        how = how or Measure()
        self.tokenizer = load_tokenizer(folder, spec)
        self.template = Template(spec.template, self.tokenizer)
        self.start = start_token(self.tokenizer)
        self.model = load_model(
            AutoModelForCausalLM, spec, Runtime(folder, device=device, dtype=dtype)
        )
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.adapter = adapter_of(recipe, self.parameters)
        self.log_loss = TokenLogLoss(self.model, device)
        self.recipe, self.token_budget = recipe, token_budget
        self.rate = peak_rate(recipe, self.parameters)
        self.max_length = min(recipe.max_length, position_limit(self.model))
        if self.adapter == "lora":
            inject_lora(self.model, recipe.lora_rank)
            if recomputes:
                recompute_activations(self.model)
        self.start_device = device if keeps_start else "cpu"
        self.packed = bool(how.packing) and self.log_loss.pack(token_budget)
        self.fused = bool(how.fused_optimizer)
        runtime = Runtime(compiled=bool(how.compile))
        compile_in_place(self.log_loss.body, runtime)
        self.log_loss.cross_entropy = compiled(self.log_loss.cross_entropy, runtime)
        self.initial: dict[str, torch.Tensor] = {}
        self.texts: dict[str, tuple[Sequence[Conversation], list[Counted]]] = {}

    def run(self, rows: Sequence[Conversation], evaluations: Evaluations, seed: int) -> Outcome:
        """Finetune on the rows from the base weights, then measure every evaluation set.

        Args:
            rows: the subset; none gives the base model's own losses.
            evaluations: by name; their texts are kept until a name stands for others.
            seed: of the order of the examples (and of dropout, where a model has it).
        """
        started = time.monotonic()
        self._restore()
        torch.manual_seed(seed)
        texts = self._counted(rows)
        losses, steps = self._train(texts, seed) if texts else ([], 0)
        measured = {
            name: self.evaluate(name, conversations) for name, conversations in evaluations.items()
        }
        if self.log_loss.device == "cpu":
            return_freed_memory()
        _refuse_broken([evaluated.loss for evaluated in measured.values()])
        epochs = self.recipe.epochs
        return Outcome(
            losses={name: evaluated.loss for name, evaluated in measured.items()},
            evaluated={name: sum(evaluated.tokens) for name, evaluated in measured.items()},
            prompt_losses={name: evaluated.means for name, evaluated in measured.items()},
            prompt_tokens={name: evaluated.tokens for name, evaluated in measured.items()},
            train_loss=float(np.mean(losses[-(len(losses) // epochs) :])) if losses else math.nan,
            tokens=epochs * sum(sum(text.counted) for text in texts),
            read=epochs * sum(len(text.ids) for text in texts),
            steps=steps,
            unused=len(rows) - len(texts),
            seconds=time.monotonic() - started,
        )

    def evaluate(self, name: str, conversations: Sequence[Conversation]) -> Evaluated:
        """The loss on an evaluation set's reference tokens."""
        if name not in self.texts or self.texts[name][0] != conversations:
            self.texts[name] = conversations, self._counted(conversations)
        _, texts = self.texts[name]
        if not texts:
            raise UserError(
                f"evaluation set {name} has no response token within "
                f"finetune.max_length={self.max_length}"
            )
        self.model.eval()
        return self._evaluated(texts, [sum(text.counted) for text in texts])

    def mean_losses(self, conversations: Sequence[Conversation]) -> list[float]:
        """Mean NLL of each conversation's response tokens in nats; NaN where there is none."""
        texts = self._readable(conversations)
        there = [place for place, text in enumerate(texts) if text is not None]
        self.model.eval()
        means = np.full(len(texts), np.nan)
        means[there] = self._means([text for text in texts if text is not None])
        return means.tolist()

    def _evaluated(self, texts: Sequence[Counted], tokens: list[int]) -> Evaluated:
        means = self._means(texts)
        return Evaluated(float(means @ np.array(tokens) / sum(tokens)), means.tolist(), tokens)

    def _means(self, texts: Sequence[Counted]) -> NDArray[np.float64]:
        losses = Results()
        for batch in self._batches(texts):
            self.log_loss.add_to(losses, batch, [texts[i] for i in batch])
        return losses.means(len(texts))

    def _train(self, texts: list[Counted], seed: int) -> tuple[list[float], int]:
        generator = np.random.default_rng(seed)
        size = self.recipe.batch_rows
        epochs = [generator.permutation(len(texts)) for _ in range(self.recipe.epochs)]
        steps = [order[i : i + size] for order in epochs for i in range(0, len(order), size)]
        weights = self._weights(len(steps))
        self.model.train()
        losses: list[torch.Tensor] = []
        with kernel_order(self.log_loss.device):
            for rows in steps:
                losses.append(self._backward([texts[i] for i in rows]))
                weights.step()
        seen = torch.stack(losses).tolist()  # once: until here the host waits for nothing
        _refuse_broken(seen)
        return seen, len(steps)

    def _backward(self, texts: list[Counted]) -> torch.Tensor:
        """Mean NLL over the step's response tokens, whatever parts memory asks for."""
        total = sum(sum(text.counted) for text in texts)
        summed = torch.zeros((), dtype=torch.float64, device=self.log_loss.device)
        for batch in self._batches(texts):
            losses, _ = self.log_loss.of_tokens([texts[i] for i in batch])
            loss = losses.sum() / total
            loss.backward()
            summed += loss.detach()
        return summed

    def _batches(self, texts: Sequence[Counted]) -> Iterator[Rows]:
        lengths = [len(text.ids) for text in texts]
        return (token_packs if self.packed else token_batches)(lengths, self.token_budget)

    def _counted(self, conversations: Sequence[Conversation]) -> list[Counted]:
        return [text for text in self._readable(conversations) if text is not None]

    def _readable(self, conversations: Sequence[Conversation]) -> list[Counted | None]:
        """Each conversation as tokens; None without a response token inside `max_length`."""
        reasons = defects(conversations)
        rendered = render(self.template, conversations, reasons)
        cut_rows = [cut(tokens, self.max_length, keep_end=False) for tokens in rendered]
        return [
            behind_prompt(tokens, self.start) if reason is None and any(tokens.counted) else None
            for tokens, reason in zip(cut_rows, reasons, strict=True)
        ]

    def _weights(self, steps: int) -> FlatAdamW | Masters:
        """What updates the model's trained weights."""
        rate, decay = self.rate, self.recipe.weight_decay
        warm_up = math.ceil(self.recipe.warm_up * steps)
        if self.fused:
            return FlatAdamW(self.model, rate, decay, steps, warm_up)

        def optimizers(masters: dict[str, torch.Tensor]) -> list[torch.optim.Optimizer]:
            weights = masters.values()
            return [torch.optim.AdamW(weights, rate, betas=(0.9, 0.95), weight_decay=decay)]

        return Masters(self.model, optimizers, steps, warm_up)

    def _trainable(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        return ((n, p) for n, p in self.model.named_parameters() if p.requires_grad)

    def _restore(self) -> None:
        if not self.initial:
            self.initial = {
                n: p.detach().to(self.start_device, copy=True) for n, p in self._trainable()
            }
        with torch.no_grad():
            for name, parameter in self._trainable():
                parameter.copy_(self.initial[name])
                parameter.grad = None


def _refuse_broken(losses: Sequence[float]) -> None:
    """The last update can break a model whose training losses were all finite."""
    if not np.isfinite(losses).all():
        raise ArithmeticError("the loss is no longer a finite number: lower finetune.rate")
