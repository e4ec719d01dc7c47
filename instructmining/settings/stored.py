"""The sections of the commands that work on what is stored already."""

from pydantic import model_validator

from instructmining.settings.section import Section, setting


class Explain(Section):
    """Which groups are explained."""

    by: str = setting(
        "source",
        "What groups examples: source, length (quarters of the responses), language (a kept column "
        "of that name, else that of the response; also prompt_language and response_language), or "
        "a column that was kept (`read.keep`).",
    )
    groups: int = setting(10, "Number of groups shown, the largest.", ge=1)


class Maintain(Section):
    """How long older versions of the tables stay."""

    # Delta refuses less, because running jobs and readers would lose files.
    retention_hours: int = setting(
        168, "Hours of table history that stay readable; at least 168.", ge=168
    )
    log_hours: int | None = setting(
        None,
        "Hours that commits stay in the tables' logs; `retention_hours` at least. null: as each "
        "table says, 30 days where it says nothing.",
    )
    retire: bool = setting(
        False, "List the records that are no longer in their sources, and drop them from pools."
    )
    pool: str | None = setting(None, "The pool of `retire`. null: all pools.")

    @model_validator(mode="after")
    def _what_is_readable_is_in_the_log(self) -> "Maintain":
        if self.log_hours is not None and self.log_hours < self.retention_hours:
            raise ValueError(
                f"--log-hours {self.log_hours}: versions stay readable for {self.retention_hours} "
                "hours (--retention-hours), and need their commits: give no less"
            )
        return self


class Erase(Section):
    """Which examples are erased."""

    ids: tuple[str, ...] = setting((), "The `example_id` of an example to erase.")
    ids_file: str | None = setting(None, "A file with one `example_id` per line.")
    exports: tuple[str, ...] = setting(
        (), "An exported file or folder to search, beside those that are known."
    )
    delete_elsewhere: bool = setting(
        False,
        "Also delete what holds an example outside the store: lines of exports, HTML pages, MLflow "
        "artifacts. Without it they are listed, each with the command that deletes it.",
    )
    vacuum_now: bool = setting(
        False, "Give up all older versions of the tables at once; for a store in a folder."
    )


class Import(Section):
    """Scores in other files, joined to the examples of the store."""

    scores: tuple[str, ...] = setting((), "Files or tables with scores, as for `input`.")
    key: str = setting(
        "example_id",
        "Column of `scores` that names the example: its `example_id`, or the key that `score --id` "
        "stored.",
    )
