"""The reward that a served reward model gives: the raw output of its head, one number.

| `served.protocol` | request | the number |
|---|---|---|
| `vllm_classify` | `POST /classify`, messages | `data[0].probs[0]`, no activation |
| `vllm_pooling` | `POST /pooling`, messages | the last of `data[0].data`, no activation |
| `vllm_score` | `POST /score`, history and last reply as a pair of texts | `data[0].score` |
| `sglang_classify` | `POST /classify`, one text | `embedding[0]` |

vLLM applies the model's own chat template; SGLang takes a text, for which `served.chat_template` is
written out here, and ChatML where there is none.
"""

from typing import Any

from instructmining.models.lists import ModelSpec
from udfs.running.measurement import Conversation, Message, Runtime
from udfs.running.served import ServedScorer
from udfs.running.text_indicator import Undefined
from udfs.texts.conversations import last_reply
from udfs.texts.spoken import spoken

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
)


class RewardScorer(ServedScorer):
    """Kind `endpoint_reward`: a classifier with one output, at a server."""

    def __init__(self, spec: ModelSpec, runtime: Runtime):
        super().__init__(spec, runtime)
        self.protocol = self.served.protocol

    @property
    def path(self) -> str:
        """After what the protocol is called."""
        return "/" + self.served.protocol.partition("_")[2]

    def body(self, conversation: Conversation) -> dict[str, Any]:
        """The conversation as the protocol takes it."""
        if self.protocol == "vllm_score":
            history, reply = last_reply(conversation)
            # Older servers know these names of the two, newer ones as well.
            return {"text_1": history, "text_2": reply, "use_activation": False}
        messages = spoken(conversation)
        if self.protocol == "sglang_classify":
            return {"text": _written(self.served.chat_template or _CHATML, messages)}
        return {
            "messages": messages,
            "add_generation_prompt": False,
            "chat_template": self.served.chat_template,
            "use_activation": False,
        }

    def value(self, reply: Any) -> float | Undefined:
        """Null where the model has more outputs than one: which is the reward is not known."""
        if self.protocol == "sglang_classify":
            outputs = (reply[0] if isinstance(reply, list) else reply)["embedding"]
        elif self.protocol == "vllm_score":
            outputs = [reply["data"][0]["score"]]
        elif self.protocol == "vllm_classify":
            outputs = reply["data"][0]["probs"]
        else:
            outputs = reply["data"][0]["data"]
            if isinstance(outputs[-1], list):  # one for each token: that of the last
                outputs = outputs[-1]
        if len(outputs) != 1:
            return Undefined(f"the model gives {len(outputs)} numbers, not one")
        return float(outputs[0])


def _written(template: str, messages: list[Message]) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    texts_and_spans: Any = render_jinja_template([messages], chat_template=template)
    return str(texts_and_spans[0][0])
