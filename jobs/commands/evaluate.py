"""`instructmining evaluate`: options to settings."""

from typing import Any

import click

from instructmining.settings.sections import Settings, load_settings
from jobs.commands.options import common


@click.command()
@click.option("--store", "--output", "store", help="Folder, or catalog.schema, that `score` wrote.")
@click.option("--files", help="Folder that all nodes see, for what is not a table.")
@click.option("--pool", help="The scored pool that the arms draw from.")
@click.option(
    "--eval",
    "evaluation",
    multiple=True,
    metavar="NAME=DATA",
    help="Data with reference answers, to measure every model on.",
)
@click.option("--rule", help="auto, paper-v1, paper-v2, FILE.json or models:/NAME@ALIAS.")
@click.option("--strategy", help="Of the selected arms; default: the rule's prediction.")
@click.option("--top", type=int, help="Examples of every arm.")
@click.option("--tokens", type=int, help="Tokens of every arm, instead of examples.")
@click.option("--seeds", type=int, help="Finetunes of every arm.")
@click.option("--seed", type=int, help="The first of them.")
@click.option("--diversity", help="cosine, facility or near_duplicates: of the arm `diverse`.")
@click.option("--models", help="The list the pool was scored with.")
@click.option("--base", help="Model to finetune; default: the list's perplexity model.")
@click.option("--epochs", type=int, help="Of each finetune.")
@click.option("--judge", help="reward, endpoint or none: who compares the models' answers.")
@click.option("--judged-prompts", type=int, help="Prompts of each evaluation set that are judged.")
@click.option("--endpoint", help="URL that speaks OpenAI's chat completions, up to /v1.")
@click.option("--endpoint-model", help="The model that judges there.")
@click.option(
    "--sizes", help="100,300,… or auto or auto:LOW-HIGH: a curve of sizes instead of arms."
)
@click.option("--device", help="auto, cpu or cuda.")
@click.option("--dtype", help="auto, bfloat16 or float32.")
@common
def evaluate(**given: Any) -> None:
    """Finetune on the selection and on its rivals, and say which is better, with intervals."""
    from jobs.evaluating.run import run_with_session

    run_with_session(evaluate_settings(given))


def evaluate_settings(given: dict[str, Any]) -> Settings:
    """Options of `evaluate` as settings."""
    sizes = given["sizes"]
    options = {
        **{key: given[key] for key in ("store", "files", "pool", "models")},
        "rule": {"source": given["rule"]},
        "select": {"strategy": given["strategy"]},
        "evaluate": {
            "evaluation": given["evaluation"] or None,
            "sizes": tuple(part.strip() for part in sizes.split(",")) if sizes else None,
            **{key: given[key] for key in ("top", "tokens", "seeds", "seed", "diversity")},
        },
        "judge": {
            "kind": given["judge"],
            "prompts": given["judged_prompts"],
            "url": given["endpoint"],
            "model": given["endpoint_model"],
        },
        "fit": {"base": given["base"]},
        "finetune": {"epochs": given["epochs"], "dtype": given["dtype"]},
        "measure": {"device": given["device"]},
        "tracking": {"uri": given["tracking_uri"]},
    }
    return load_settings(given["settings_file"], given["sets"], options)
