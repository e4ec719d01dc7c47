"""The gate of the champion: what the fit of a rule must have shown, read from what it stored."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from instructmining.rules.hinge import Hinge, slopes

LEVEL = 0.05  # p of a permutation test below which a finding is not taken for chance
HIGHER_IS_BETTER = ("reward", "naturalness", "coherence", "understandability")


def contradictions(
    coefficients: Mapping[str, float], hinges: Mapping[str, Hinge] | None = None
) -> list[str]:
    """Where more of a good thing makes a higher loss, in words; a hinge parts where from where.

    Args:
        coefficients: of a rule, by term.
        hinges: of the rule, by term.
    """
    return [
        f"a higher {name} predicts a higher loss ({slope:+.4g} per unit{_piece(low, high)}), which "
        f"contradicts what {name} means"
        for name in HIGHER_IS_BETTER
        for low, high, slope in slopes(name, coefficients, hinges or {})
        if slope > 0
    ]


def _piece(low: float, high: float) -> str:
    parts = [f" above {low:g}"] * isfinite(low) + [f" below {high:g}"] * isfinite(high)
    return " and".join(parts)


def objection(
    rule: str,
    provenance: Mapping[str, Any],
    champion: str | None,
    coefficients: Mapping[str, float] | None = None,
    hinges: Mapping[str, Hinge] | None = None,
) -> str | None:
    """Why a rule must not become champion, in one sentence; None where it passes.

    The terms of a rule are chosen on the runs that its error out of fold is measured on, so that
    this error is below that of the mean for many a rule that found nothing. The permutation test
    counts the whole search; the criteria in sample have none. Runs share examples and sources, so
    that the terms must also lower the error on one half of the candidates when they are searched
    and fitted on the other, beside the shares of the sources.

    Args:
        rule: how to call it in the sentence.
        provenance: as `fitting.rule_of` stores it; `cross_validation` holds errors of log loss.
        champion: `models:/NAME/VERSION` of another rule that it would replace; None without one.
        coefficients: of the rule, whose signs are compared with what the indicators mean.
        hinges: of the rule.
    """
    errors: Mapping[str, Any] = provenance.get("cross_validation") or {}
    return (
        _against_rivals(rule, errors, champion)
        or _across_halves(rule, errors.get("crossed_beside_sources"))
        or _by_chance(rule, provenance.get("permutation_p"))
        or _against_meaning(rule, contradictions(coefficients or {}, hinges))
    )


def _against_rivals(rule: str, errors: Mapping[str, Any], champion: str | None) -> str | None:
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
    return None


def _across_halves(rule: str, gain: float | None) -> str | None:
    if gain is None:
        return (
            f"{rule} was not tested on examples that its fit had not seen: fit it again, with at "
            "least four times as many candidates as --size, or promote it with --force"
        )
    if gain > 0:
        return None
    return (
        f"{rule} does not hold on examples that its fit had not seen: searched and fitted on one "
        f"half of the candidates, its terms change the squared error on the other by "
        f"{-100 * gain:+.0f} % beside the shares of the sources; --force promotes it nevertheless"
    )


def _by_chance(rule: str, p_value: float | None) -> str | None:
    if p_value is not None and p_value < LEVEL:
        return None
    shown = "no permutation test was made" if p_value is None else f"permutation p {p_value:g}"
    return (
        f"{rule} may have been found by chance ({shown}, where p < {LEVEL:g} is wanted): "
        "fit it with --criterion cv, or promote it with --force"
    )


def _against_meaning(rule: str, against: Sequence[str]) -> str | None:
    if against:
        return f"{rule} needs --force: {'; '.join(against)}"
    return None
