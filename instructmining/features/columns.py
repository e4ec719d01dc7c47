"""Properties of prompt and response as native Spark columns: no model and no Python worker.

They are cheap signs of text that nobody should learn from: encoded data, markup, loops, prompts
said again, text that stands where an answer is missing. All are of the response; null without
one. Only the first `_READ` characters are looked at, so that a row's cost is bounded.
"""

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

_READ = 1000  # characters
_COUNTED = 200  # of these, of which the entropy is taken
_WORDS = 120  # of which runs are formed
_RUN = 3  # words; fewer than this many runs say nothing
_FEWEST_RUNS = 8
_TAGS = r"</?[a-zA-Z][^<>]{0,200}>|&[a-zA-Z]{2,8};|&#\d{1,6};"
_URLS = r"(?:https?://|www\.)\S+"
# U: \W would otherwise hold for every letter that is not ASCII.
_STANDS_IN = (
    r"(?isU)^\W*(?:n\s?/\s?a|nan|null|undefined|todo|tbd|fixme|placeholder|lorem ipsum.*|"
    r"(?:your|the|an?)? ?(?:answer|response|output|text) (?:goes )?here|"
    r"no (?:answer|response|output)(?: (?:was )?(?:given|provided|available))?)\W*$|"
    r"^\W+$|"
    r"\[(?:insert|your|add|enter)\b[^\]]{0,60}\]|"
    r"\bas an? (?:ai|artificial intelligence)(?: language)? model\b|"
    r"^i(?:'|’)?(?: a)?m (?:very )?sorry,? but (?:i|as an)\b"
)


def feature_columns() -> dict[str, Column]:
    """Every feature of a row of the table `examples`; see `names.FEATURES`."""
    text = F.substring("response", 1, _READ)
    words = F.slice(_words(text), 1, _WORDS)
    values = {
        "character_entropy": _entropy(F.substring(text, 1, _COUNTED)),
        "markup_share": _share_removed(text, _TAGS),
        "longest_token": _longest_token(text),
        "echo": _echo(text),
        "repetition": _repetition(words),
        "placeholder": F.trim(text).rlike(_STANDS_IN),
    }
    known = F.col("response").isNotNull()
    return {name: F.when(known, value.cast("double")) for name, value in values.items()}


def _words(text: Column) -> Column:
    """Lower-case words, split at white space."""
    parts = F.split(F.lower(F.trim(text)), r"\s+")
    return F.filter(parts, lambda word: word != "")


def _entropy(text: Column) -> Column:
    """Σ −p log₂ p over the characters; 0 of an empty text."""
    return _bound(text, _entropy_of)


def _entropy_of(text: Column) -> Column:
    length = F.length(text)
    distinct = F.array_distinct(F.filter(F.split(text, ""), lambda character: character != ""))

    def share(character: Column) -> Column:
        """Of the text: what is left without the character says how often it occurs."""
        return 1 - F.length(F.replace(text, character, F.lit(""))) / length

    return F.aggregate(
        F.transform(distinct, share), F.lit(0.0), lambda sum, part: sum - part * F.log2(part)
    )


def _share_removed(text: Column, pattern: str) -> Column:
    length = F.length(text)
    left = F.length(F.regexp_replace(text, pattern, ""))
    return F.when(length > 0, (length - left) / length).otherwise(0.0)


def _longest_token(text: Column) -> Column:
    runs = F.regexp_extract_all(F.regexp_replace(text, _URLS, " "), F.lit(r"([!-~]+)"), F.lit(1))
    return F.coalesce(F.array_max(F.transform(runs, F.length)), F.lit(0))


def _echo(text: Column) -> Column:
    asked = F.filter("messages", lambda message: message["role"] == "user")
    last = F.coalesce(F.try_element_at(asked, F.lit(-1))["content"], F.col("prompt"))
    prompt = F.substring(last, 1, _READ)
    whole = F.lower(F.trim("response")) == F.lower(F.trim("prompt"))
    # An equal beginning of a long text is not enough for 1: both have to be read to the end.
    short = (F.length("response") <= _READ) & (F.length(last) <= _READ)
    overlap = _bound(
        _words(text),
        lambda said: _bound(_words(prompt), lambda asked: _overlap(said, asked, short)),
    )
    return F.when(whole, 1.0).otherwise(overlap)


def _overlap(said: Column, asked: Column, short: Column) -> Column:
    """Jaccard overlap of the two sets of words; 1 only where the lists are the same."""
    union = F.size(F.array_union(said, asked))
    share = F.when(union > 0, F.size(F.array_intersect(said, asked)) / union).otherwise(0.0)
    return F.when((said == asked) & short, 1.0).otherwise(F.least(share, F.lit(0.999)))


def _repetition(words: Column) -> Column:
    return _bound(words, _repetition_of)


def _repetition_of(words: Column) -> Column:
    count = F.size(words) - (_RUN - 1)
    places = F.sequence(F.lit(1), F.greatest(count, F.lit(1)))
    runs = F.transform(places, lambda place: F.array_join(F.slice(words, place, _RUN), " "))
    repeated = 1 - F.size(F.array_distinct(runs)) / count
    return F.when(count >= _FEWEST_RUNS, repeated).otherwise(0.0)


def _bound(value: Column, use: Callable[[Column], Column]) -> Column:
    """`use(value)` with the value computed once: Spark repeats an expression inside a lambda."""
    return F.get(F.transform(F.array(value), use), F.lit(0))
