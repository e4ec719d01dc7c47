"""Which rule a run applies, and whether it was fitted with the models that measure."""

from collections.abc import Mapping
from dataclasses import dataclass

from instructmining.errors import UserError
from instructmining.models.lists import ModelList, ResolvedModel
from instructmining.rules.registry import choose_rule
from instructmining.rules.rule import LinearRule, built_in_rules
from instructmining.scoring.scores import Measured, neighbors_of
from instructmining.settings.sections import Knn, Rule, Tracking


@dataclass(frozen=True)
class RuleChoice:
    """The rule of a run, why it is this one, and where its models are not those that measure."""

    rule: LinearRule
    why: str
    mismatches: list[str]
    measured: Measured
    is_default: bool = False  # nobody named it, and no rule is fitted for these models

    @property
    def notes(self) -> list[str]:
        """What its models mean for its numbers, in sentences."""
        if self.is_default and self.mismatches:
            return [
                f"{self.rule.name} orders the examples; its predicted losses are on the scale of "
                "the models that it was fitted with"
            ]
        return [f"{mismatch}: its coefficient does not carry over" for mismatch in self.mismatches]


def rule_for(
    models: ModelList,
    resolved: Mapping[str, ResolvedModel],
    wanted: Rule,
    knn: Knn,
    tracking: Tracking,
) -> RuleChoice:
    """Choose the rule before anything is measured: a mistake in it must not cost a run.

    Raises:
        UserError: there is no such rule, or `--strict-rule` refuses it.
    """
    measured = Measured(models, {s: m.fingerprint for s, m in resolved.items()}, knn)
    by_indicator = {name: resolved[stage] for name, stage in measured.stage_of.items()}
    if "embed" in resolved:
        by_indicator |= {f"knn_{i}": resolved["embed"] for i in range(1, 65)}
    fingerprints = {name: model.fingerprint for name, model in by_indicator.items()}
    sources = {name: model.spec.origin for name, model in by_indicator.items()}
    rule, why = choose_rule(wanted.source, fingerprints, tracking)
    mismatches = rule.mismatches(fingerprints, sources)
    if (most := max(neighbors_of(rule), default=0)) > knn.neighbors:
        raise UserError(
            f"rule {rule.name} needs knn_{most}, and {knn.neighbors} "
            f"neighbours are measured: --set knn.neighbors={most}"
        )
    if mismatches and wanted.strict:
        raise UserError(
            f"rule {rule.name} does not fit these models: {'; '.join(mismatches)}; "
            "fit a rule for them, or drop --strict-rule"
        )
    is_default = wanted.source == "auto" and rule.name in built_in_rules()
    return RuleChoice(rule, why, mismatches, measured, is_default)
