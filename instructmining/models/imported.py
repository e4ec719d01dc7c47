"""Numbers that others computed, as entries of a model list."""

from collections.abc import Mapping

from pydantic import ValidationError

from instructmining.errors import UserError
from instructmining.models.lists import COLUMN, IMPORTED, ModelList
from instructmining.settings.yaml_files import explained


def with_imported(models: ModelList, columns: Mapping[str, str], version: str) -> ModelList:
    """The list with an entry for each indicator that the data hold already.

    Args:
        models: a model list.
        columns: indicator to the column that holds it.
        version: of the numbers; part of their fingerprint, which the column is not.

    Raises:
        UserError: a name is taken, or cannot be a column of its own.
    """
    named = {
        name: {
            "kind": IMPORTED,
            "source": COLUMN + column,
            "indicators": [name],
            "version": version,
        }
        for name, column in columns.items()
    }
    taken = sorted(named.keys() & models.stages.keys())
    if taken:
        raise UserError(f"--indicator {taken[0]}: the model list has an entry of this name")
    listed = models.model_dump(exclude_unset=True)
    listed["classifiers"] = {**listed.get("classifiers", {}), **named}
    try:
        return ModelList(**listed)
    except ValidationError as error:
        raise UserError(f"--indicator: {explained(error, ModelList, 'entry')}") from None
