"""What every section of the settings has in common."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """Settings that belong together: frozen, unknown names are refused, null is the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _null_is_the_default(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        # An unknown name stays, to be refused.
        return {
            name: value
            for name, value in values.items()
            if value is not None or name not in cls.model_fields
        }


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
