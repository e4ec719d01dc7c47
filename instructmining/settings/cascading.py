"""The section of the settings on stages that measure a sample only."""

from instructmining.settings.section import Section, setting


class Cascade(Section):
    """Costly stages on a sample of the pool; their indicators are predicted for the rest."""

    shares: dict[str, float] = setting(
        {},
        "Stages that measure only a share of the pool, as in reward=0.05. For the rest their "
        "indicators are predicted from embeddings and the other stages, and marked as predicted.",
    )
    seed: int = setting(0, "Seed of the sample.")
    min_r2: float = setting(
        0.3,
        "An indicator whose out-of-sample R² is below this is not predicted; the run is refused if "
        "the rule needs it, or if none is better. What was measured stays.",
        le=1,
    )
    confidence: float = setting(
        0.9, "Share of examples whose value the interval of a prediction is to hold.", gt=0, lt=1
    )
    fit_rows: int = setting(
        20_000,
        "Measured examples of the sample that are brought to the driver to fit on, at most.",
        ge=100,
    )
