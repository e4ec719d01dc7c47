"""Settings of what tries and finetunes models: canary, select, floor, evaluate, judge."""

from math import inf
from typing import Literal

from pydantic import field_validator, model_validator

from instructmining.settings.section import Section, setting

_MOST_RATES = 5


class Canary(Section):
    """Rows of the pool that `score` spoils on purpose, to see whether the rule prefers dirt."""

    rows: int = setting(
        200,
        "Rows spoiled by each kind of dirt, at most one in 100 of the pool and at least 5. "
        "0: none.",
        ge=0,
    )


class Finetune(Section):
    """How a model is finetuned on a subset; all but the last are part of a run's key."""

    epochs: int = setting(2, "Passes over the training examples.", ge=1)
    batch_rows: int = setting(16, "Examples of one training step.", ge=1)
    rate: float | None = setting(
        None, "Learning rate. null: 2e-5, with LoRA 2e-4, below 100 M parameters 3e-4."
    )
    warm_up: float = setting(
        0.1, "Share of the steps that warm up; a cosine down to 5 % follows.", ge=0, le=1
    )
    weight_decay: float = setting(0.0, "Weight decay of AdamW.")
    max_length: int = setting(
        512, "Tokens of an example; the end of a longer response is cut.", ge=8
    )
    adapter: Literal["auto", "full", "lora"] = setting(
        "auto", "What is trained. `auto` is LoRA from 3e9 parameters, else all weights."
    )
    lora_rank: int = setting(16, "Rank of LoRA's matrices.", ge=1)
    dtype: Literal["auto", "bfloat16", "float32"] = setting(
        "auto", "Precision of the weights that compute; the optimizer's copies are float32."
    )
    gpus_per_run: int = setting(1, "Processes that share one run, each with its own GPU.", ge=1)


class Select(Section):
    """Which examples are chosen; without a size, quotas alone decide."""

    strategy: Literal[
        "rule",
        "quality",
        "random",
        "longest",
        "highest_reward",
        "lowest_perplexity",
        "ifd",
        "target",
    ] = setting("rule", "What examples are ranked by.")
    target: str | None = setting(
        None,
        "Examples of what is wanted (10 to 500), NAME=DATA or DATA; with the strategy `target`.",
    )
    whiten: bool = setting(
        False,
        "Give the pool's vectors equal variances (whitening) before comparing them with targets.",
    )
    floor: Literal["on", "off"] = setting(
        "on", "Leave out what nobody should learn from; the section `floor` says what that is."
    )
    where: str | None = setting(
        None, "SQL condition over indicators and text features; only rows that meet it are chosen."
    )
    out_of_range: bool = setting(
        False, "Also choose rows outside the range that the rule was fitted on, with strategy rule."
    )
    top: int | None = setting(None, "Number of examples to choose.", ge=1)
    fraction: float | None = setting(None, "Share of the pool to choose.", gt=0, le=1)
    tokens: int | None = setting(
        None, "Choose examples of at most this many tokens, prompts and responses together.", ge=1
    )
    threshold: float | None = setting(None, "Choose all examples with this score or a better one.")
    percentile: float | None = setting(
        None,
        "Choose all examples below this percentile of the prediction; with the strategy `rule`.",
        gt=0,
        le=100,
    )
    size: str | None = setting(
        None, "Find the size by finetuning on several: `auto` or `auto:LOW-HIGH`."
    )
    per_source: int | None = setting(None, "Largest number of examples from each source.", ge=1)
    quota: dict[str, float] = setting(
        {},
        "Largest number of examples from a source, NAME=N, or from the sources that match a "
        "pattern. N below 1 is a share.",
    )
    diversity: Literal["none", "cosine", "facility", "near_duplicates"] = setting(
        "none", "How examples that resemble each other are avoided."
    )
    similarity: float = setting(
        0.9, "Cosine similarity above which two examples are too close.", gt=0, le=1
    )
    candidates: int | None = setting(
        None,
        "Number of best examples that diversity chooses from. null: 20 per wanted example, but "
        "at least 10,000 and at most 200,000.",
        ge=1,
    )
    seed: int = setting(0, "Seed of the strategy `random`.")
    current: bool = setting(
        True,
        "Leave out examples that were edited or deleted in their sources since scoring.",
    )
    rejected: bool = setting(
        False, "Also choose answers that the data mark as the rejected one of a pair."
    )
    near_duplicates: str | None = setting(
        None,
        "Leave out examples whose text is nearly that of a better one: text=0.8, the share of runs "
        "of three words that both have.",
        pattern=r"^text=(0?\.\d*[1-9]\d*|1(\.0*)?)$",
    )
    without_overlap: tuple[str, ...] = setting(
        (),
        "Leave out examples that share `evaluate.overlap` words in a row with these data, "
        "NAME=DATA or DATA, such as the benchmarks that a model will be tested on.",
    )
    against: str | None = setting(
        None, "Another rule: show what changes between the selections of the two."
    )


class Floor(Section):
    """What no selection takes unless `select.floor` is off; a missing value leaves nothing out."""

    lowest: dict[str, float] = setting(
        {"naturalness": 0.2, "coherence": 0.1, "understandability": 0.3},
        "Lowest value of an indicator, by name.",
    )
    quality_percentile: float = setting(
        1.0,
        "Lowest percentile of the worst of reward, naturalness, coherence and understandability.",
        ge=0,
        lt=100,
    )
    echo: float = setting(
        1.0,
        "Overlap of response and prompt from which the response is an echo; 1 is the same.",
        gt=0,
    )
    markup_share: float = setting(
        0.5, "Largest share of the response that may be tags and entities of HTML.", ge=0
    )
    longest_token: int = setting(
        60, "Longest run of ASCII without a blank that is not a URL, in characters.", ge=1
    )
    lowest_entropy: float = setting(
        1.5, "Lowest entropy of the response's characters, in bits, from 40 characters on.", ge=0
    )
    repetition: float = setting(
        0.4, "Largest share of runs of 3 words that occur before in the response.", ge=0
    )
    placeholders: bool = setting(
        False, "Also choose responses that stand in for a missing answer, as N/A or TODO do."
    )
    languages: tuple[str, ...] = setting(
        (),
        "Languages (ISO 639) that prompt and response may have; `any` allows all. Empty: those "
        "that the model list reads.",
    )


class Evaluate(Section):
    """How a selection is proved; every arm gets the same."""

    evaluation: tuple[str, ...] = setting(
        (), "Evaluation data with reference answers, NAME=DATA or DATA."
    )
    top: int = setting(500, "Examples of each arm.", ge=1)
    tokens: int | None = setting(None, "Tokens of each arm, instead of a number of examples.", ge=1)
    seeds: int = setting(5, "Number of seeds of each arm; each seed is one finetune.", ge=2)
    seed: int = setting(0, "The first seed.")
    diversity: Literal["cosine", "facility", "near_duplicates"] = setting(
        "facility", "How the arm `diverse` avoids examples that resemble each other."
    )
    clean: str | None = setting(
        None,
        "SQL over the columns of --keep that says which rows are clean, as in quality = 'good': "
        "adds the arm `oracle`, drawn at random from them. null: no such arm.",
    )
    also: tuple[
        Literal[
            "random_balanced",
            "quality",
            "highest_reward",
            "lowest_perplexity",
            "ifd",
            "best_single",
            "target",
        ],
        ...,
    ] = setting(
        (),
        "Further arms: strategies of `select`, random in equal parts of every source, or the "
        "rule's strongest term alone (`best_single`).",
    )
    overlap: int = setting(
        8,
        "Words in a row that an example may not share with an evaluation set.",
        ge=1,
    )
    sizes: tuple[str, ...] = setting(
        (), "Sizes for a curve of loss against size, instead of arms: 100,300 or `auto`."
    )
    size_trials: int = setting(12, "Sizes that `auto` tries.", ge=3)
    size_seeds: int = setting(2, "Seeds of each size.", ge=2)
    rates: tuple[float, ...] = setting(
        (),
        "Multiples of the learning rate, such as 0.5,1,2, at which `random` and the best of the "
        "other arms are finetuned too. Empty: none.",
    )
    max_failed_fraction: float = setting(
        0.1, "Fail the run if more than this share of the finetunes failed.", ge=0, le=1
    )

    @field_validator("rates")
    @classmethod
    def _the_usual_rate_is_among_them(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        """In order, each once, with 1 among them, at which every arm is finetuned anyway."""
        if not rates:
            return rates
        if not all(0 < rate < inf for rate in rates):
            raise ValueError("a multiple of the learning rate is above zero, as in 0.5,1,2")
        every = tuple(sorted({*rates, 1.0}))
        if not 1 < len(every) <= _MOST_RATES:
            raise ValueError(
                f"give 1 to {_MOST_RATES - 1} multiples beside 1, at which every arm is finetuned "
                "anyway"
            )
        return every

    @model_validator(mode="after")
    def _a_curve_has_one_rate(self) -> "Evaluate":
        if self.sizes and self.rates:
            raise ValueError("a curve of sizes is measured at one rate: give --sizes or --rates")
        return self


class Judge(Section):
    """How answers are compared."""

    kind: Literal["reward", "endpoint", "match", "choice", "response", "form", "none"] = setting(
        "reward",
        "What judges answers: the reward model, an endpoint, a match with the reference, the "
        "likeliest of the question's options, which of four responses belongs to the prompt, the "
        "reference's form (JSON, a list, …), nothing.",
    )
    arms: tuple[str, str] = setting(
        ("selected", "random"), "The two arms whose answers are compared."
    )
    seeds: int = setting(1, "Number of seeds whose models answer.", ge=1)
    prompts: int = setting(
        100, "Prompts of each evaluation set that are judged, chosen by their id.", ge=1
    )
    answer_tokens: int = setting(128, "Largest number of tokens of an answer.", ge=1)
    temperature: float = setting(
        0.0, "Temperature of the answers; 0 takes the likeliest token.", ge=0
    )
    url: str | None = setting(
        None, "URL of a server that speaks OpenAI's chat completions, up to /v1."
    )
    model: str | None = setting(None, "Model of the endpoint that judges.")
    key_variable: str = setting(
        "OPENAI_API_KEY", "Environment variable that holds the endpoint's key."
    )
    concurrency: int = setting(8, "Number of calls at the same time.", ge=1)
    timeout: float = setting(60.0, "Seconds that a call may take.", gt=0)
    attempts: int = setting(5, "Number of attempts for each call.", ge=1)
    max_calls: int = setting(1000, "Largest number of calls of a run.", ge=0)
    max_tokens: int = setting(
        2_000_000, "Largest number of tokens of a run, as the endpoint counts them.", ge=0
    )
