"""What the features of a text are called and mean; imported where Spark is not."""

FEATURES = {
    "character_entropy": "Shannon entropy of the response's characters, in bits",
    "markup_share": "share of the response's characters that are tags or entities of HTML, 0 to 1",
    "longest_token": "characters of the longest run of ASCII without a blank, URLs left out",
    "echo": "1: the response is the prompt or its last turn; else the Jaccard overlap of words",
    "repetition": "share of the response's runs of 3 words that occur before in it, 0 to 1",
    "placeholder": "1: the response stands in for a missing answer, as N/A or TODO do; else 0",
}

LANGUAGES = {
    "prompt_language": "ISO 639 code; null where the prompt does not let one be sure",
    "response_language": "the same of the response",
}

# Columns that stand beside indicators while examples are chosen, and are none.
NOT_INDICATORS = (
    "source",
    "copies",
    "quality",
    "response_characters",
    "floor_reason",
    *LANGUAGES,
    *FEATURES,
)
