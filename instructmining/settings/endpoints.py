"""The section of models that a server holds."""

from instructmining.settings.section import Section, setting


class Endpoint(Section):
    """How servers of models are called: the kinds `endpoint_reward` and `endpoint_chat`."""

    concurrency: int = setting(
        16, "Number of calls at the same time, over all tasks of a stage.", ge=1
    )
    timeout: float = setting(120.0, "Seconds that a call may take.", gt=0)
    attempts: int = setting(5, "Number of attempts for each call.", ge=1)
    max_calls: int = setting(
        10_000,
        "Largest number of calls of a run, attempts and all servers together. What is left is "
        "measured by the next run.",
        ge=0,
    )
    max_tokens: int = setting(
        20_000_000,
        "Largest number of tokens of a run, as the servers count them. Calls that are under way "
        "when it is reached still finish.",
        ge=0,
    )

    def after(self, calls: int, tokens: int) -> "Endpoint":
        """What is left of the caps when that much was spent."""
        left = {
            "max_calls": max(0, self.max_calls - calls),
            "max_tokens": max(0, self.max_tokens - tokens),
        }
        return self.model_copy(update=left)

    def share(self, task: int, tasks: int) -> "Endpoint":
        """What one of several tasks may do, so that all of them together keep the caps."""
        parts = {
            name: getattr(self, name) // tasks + (task < getattr(self, name) % tasks)
            for name in ("concurrency", "max_calls", "max_tokens")
        }
        return self.model_copy(update={**parts, "concurrency": max(1, parts["concurrency"])})

    @property
    def is_spent(self) -> bool:
        """Whether a cap is reached."""
        return not self.max_calls or not self.max_tokens
