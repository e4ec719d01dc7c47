"""The gate of the champion: what the fit of a rule must have shown, read from what it stored."""

from collections.abc import Mapping
from typing import Any

LEVEL = 0.05  # p of a permutation test below which a finding is not taken for chance


def objection(rule: str, provenance: Mapping[str, Any], champion: str | None) -> str | None:
    """Why a rule must not become champion, in one sentence; None where it passes.

    The terms of a rule are chosen on the runs that its error out of fold is measured on, so that
    this error is below that of the mean for many a rule that found nothing. The permutation test
    counts the whole search; the criteria in sample have none.

    Args:
        rule: how to call it in the sentence.
        provenance: as `fitting.rule_of` stores it; `cross_validation` holds errors of log loss.
        champion: `models:/NAME/VERSION` of another rule that it would replace; None without one.
    """
    errors: Mapping[str, Any] = provenance.get("cross_validation") or {}
    rivals = {"the mean alone": errors.get("rmse_mean_only")}
    if champion is not None:
        name = f"the champion ({champion}) refitted"
        rivals[name] = (errors.get("rmse_others") or {}).get(champion)
    for rival, error in rivals.items():
        if error is None:
            return (
                f"{rule} was not compared with {rival}: fit it beside that "
                "(instructmining fit), or promote it with --force"
            )
        if not errors["rmse"] < error:
            return (
                f"{rule} is not better than {rival}: cross-validated error "
                f"{errors['rmse']:.5f} against {error:.5f}; --force promotes it nevertheless"
            )
    p_value = provenance.get("permutation_p")
    if p_value is None or not p_value < LEVEL:
        shown = "no permutation test was made" if p_value is None else f"permutation p {p_value:g}"
        return (
            f"{rule} may have been found by chance ({shown}, where p < {LEVEL:g} is wanted): "
            "fit it with --criterion cv, or promote it with --force"
        )
    return None
