"""How sure a causal language model is that the answer to a question about a response is yes.

    score = P(yes) / (P(yes) + P(no))        between 0 and 1, higher: surer of yes

The model reads the conversation up to the last assistant turn in its template, then a blank line,
the question of the model list and `Answer:`; P(yes) and P(no) are those of the next token, summed
over the ways in which the word begins (`Yes`, ` yes`, …). One forward, nothing is generated. A text
over `max_length` keeps the end of its prompt and the start of its reply; the question is never cut.

As in Ask-LLM: Sachdeva et al. 2024, arXiv 2402.09668.
"""

from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from udfs.indicators.perplexity import TokenLogLoss
from udfs.running.compiling import compile_in_place
from udfs.running.cpu import tuned
from udfs.running.measurement import Conversation, Measurement, Runtime, TwoSteps
from udfs.running.on_device import inference, measured
from udfs.running.weights import load_model, load_tokenizer, position_limit
from udfs.texts.conversations import reply_defects, up_to_last_reply
from udfs.texts.rendering import Rendered, cut_all, render
from udfs.texts.templates import Template

_WORDS = (("Yes", " Yes", "yes", " yes", "YES"), ("No", " No", "no", " no", "NO"))


class YesNoScorer(TwoSteps):
    """Kind `yes_no`: any model of transformers' AutoModelForCausalLM, asked one question."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        if not spec.question:
            raise UserError(f"model {spec.source}: a yes_no needs the question that it is asked")
        self.indicators = spec.indicators
        self.tokenizer = load_tokenizer(runtime.folder, spec)
        self.template = Template(spec.template, self.tokenizer)
        self.asked = self._ids(f"\n\n{spec.question}\nAnswer:")
        self.yes, self.no = self._answers(spec)
        model = tuned(load_model(AutoModelForCausalLM, spec, runtime), runtime.device)
        self.room = min(spec.max_length, position_limit(model)) - len(self.asked)
        if self.room < len(self.asked):
            raise UserError(f"model {spec.source}: the question leaves {self.room} tokens of room")
        self.language_model = TokenLogLoss(model, runtime.device)
        compile_in_place(self.language_model.body, runtime)
        self.device = runtime.device
        self.token_budget = runtime.token_budget

    def prepare(self, conversations: Sequence[Conversation]) -> tuple[Measurement, list[list[int]]]:
        """Every conversation up to its last reply, and the question after it."""
        measurement = Measurement.empty(self.indicators, len(conversations))
        measurement.reasons = reply_defects(conversations)
        shown = [
            [] if measurement.reasons[row] else up_to_last_reply(conversation)
            for row, conversation in enumerate(conversations)
        ]
        full = render(self.template, shown, measurement.reasons, reply=-1)
        parts = cut_all(measurement, full, self.room, keep_end=True)
        return measurement, [self._with_question(rendered) for rendered in parts]

    def compute(self, prepared: tuple[Measurement, list[list[int]]]) -> Measurement:
        """How sure the model is of yes, for each conversation."""
        measurement, texts = prepared
        answers = measured(
            measurement,
            [len(text) for text in texts],
            self.token_budget,
            lambda rows: self._scores([texts[row] for row in rows]),
        )
        answers.into(measurement.values[self.indicators[0]])
        return measurement.explained()

    def _with_question(self, text: Rendered) -> list[int]:
        """The end of turn and of text would end what the question is about: they are left out."""
        return text.ids[: len(text.ids) - text.end] + self.asked if text.ids else []

    def _scores(self, texts: list[list[int]]) -> torch.Tensor:
        with inference(self.device):
            logits = self.language_model.after(texts).double()
            yes, no = (logits[:, words].logsumexp(1) for words in (self.yes, self.no))
            return torch.sigmoid(yes - no)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _answers(self, spec: ModelSpec) -> tuple[torch.Tensor, torch.Tensor]:
        """The first tokens of the words for yes and for no, but for those that begin both."""
        yes, no = ({self._ids(word)[0] for word in words if self._ids(word)} for words in _WORDS)
        both = yes & no
        if not yes - both or not no - both:
            raise UserError(f"model {spec.source}: its tokenizer cannot tell Yes from No")
        return torch.tensor(sorted(yes - both)), torch.tensor(sorted(no - both))
