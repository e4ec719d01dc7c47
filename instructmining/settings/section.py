"""What every section of the settings has in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Settings that belong together: frozen, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def setting(default: Any, description: str, **constraints: Any) -> Any:
    """A field with its default, its description and what a value must satisfy.

    Args:
        default: the value where nobody gives one. A dictionary is copied.
        description: one or more sentences, each of which stands alone.
        constraints: of pydantic's `Field`, such as `ge=1`.
    """
    if isinstance(default, dict):
        return Field(default_factory=default.copy, description=description, **constraints)
    return Field(default=default, description=description, **constraints)
