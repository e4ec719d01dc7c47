"""What an entry of a model list says of a model that a server holds."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from instructmining.errors import UserError
from instructmining.served.address import check_url

SERVED_KINDS = ("endpoint_reward", "endpoint_chat")


class Served(BaseModel):
    """A model as its server knows it, and how it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)  # its name at the server
    protocol: Literal["vllm_classify", "vllm_pooling", "vllm_score", "sglang_classify"] = (
        "vllm_classify"  # endpoint_reward
    )
    scale: tuple[int, int] | None = None  # endpoint_chat: lowest and highest answer; None: yes, no
    chat_template: str | None = None  # Jinja; None: the server's own, for SGLang ChatML
    request: dict[str, JsonValue] = Field(default_factory=dict)  # goes into every request
    key_variable: str | None = None  # environment variable with the key; None: none is sent

    @model_validator(mode="after")
    def _scale_goes_up(self) -> "Served":
        if self.scale and self.scale[0] >= self.scale[1]:
            raise ValueError("scale: name the lowest answer, then the highest, as in [1, 5]")
        return self

    def definition(self) -> dict[str, Any]:
        """What decides its numbers: not where its key is."""
        return self.model_dump(exclude={"key_variable"})


def mistakes_of_served(
    kind: str, source: str, served: Served | None, question: str | None
) -> str | None:
    """What is wrong with an entry, or None."""
    if kind not in SERVED_KINDS:
        return f"a {kind} is not on a server: leave out `served`" if served else None
    if served is None:
        return f"an {kind} needs `served`, with the model's name at the server: {{model: NAME}}"
    if kind == "endpoint_chat" and not question:
        return "an endpoint_chat needs the question that it is asked"
    try:
        check_url(source, "source", served.key_variable)
    except UserError as error:
        return str(error)
    return None
