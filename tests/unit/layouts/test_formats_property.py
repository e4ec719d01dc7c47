"""Whatever JSON comes: conversations or a reason; and one conversation, however it is written."""

import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from instructmining.layouts.detection import FORMATS, Unusable, standardize
from instructmining.layouts.transcripts import END_MARKS
from instructmining.layouts.writing import LAYOUTS, record_of

UNHURRIED = settings(deadline=None)  # a busy machine is no failure
REASONS = {
    "not_an_object",
    "unknown_format",
    "unknown_role",
    "wrong_type",
    "missing_field",
    "no_response",
    "no_question",
    "blank_response",
    "blank_prompt",
    "invalid_unicode",
    "nothing_to_learn",
    "unread_block",
    "unread_call",
}
FIELDS = [
    "instruction",
    "input",
    "context",
    "output",
    "response",
    "prompt",
    "completion",
    "question",
    "answer",
    "query",
    "chosen",
    "rejected",
    "messages",
    "conversations",
    "conversation",
    "role",
    "from",
    "content",
    "value",
    "text",
    "type",
    "system",
    "history",
    "instances",
    "replies",
    "message_id",
    "message_tree_id",
    "deleted",
    "rank",
    "turns",
    "choices",
    "question_id",
    "model_id",
    "Prompt",
    "ANSWER",
    "target",
    "user",
    "assistant",
]
WORDS = [
    "user",
    "assistant",
    "gpt",
    "Human",
    "SYSTEM",
    "tool",
    "nobody",
    "text",
    "",
    " \n",
    "\n\nHuman: q\n\nAssistant: a",
    "Human: q\nAssistant:",
    "hello\u2028there",
]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates too
NAME = st.sampled_from(FIELDS) | ANY_TEXT
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.sampled_from(WORDS)
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=4)
)
TREE = {
    "message_tree_id": "t",
    "prompt": {
        "message_id": "1",
        "role": "prompter",
        "text": "q",
        "replies": [
            {"message_id": "2", "role": "assistant", "text": "a", "rank": 1, "deleted": False},
            {
                "message_id": "3",
                "role": "assistant",
                "text": "b",
                "rank": 0,
                "replies": [{"message_id": "4", "role": "prompter", "text": "c", "replies": []}],
            },
        ],
    },
}
ASKED = {"role": "user", "content": "q"}
SAID = {"role": "assistant", "content": "a"}
RECORDS = [
    {"instruction": "q", "input": "i", "output": "a", "system": "s", "history": [["b", "c"]]},
    {"instruction": "q", "context": "i", "response": "a"},
    {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
    {"messages": [ASKED, {**SAID, "content": [{"type": "text", "text": "a"}]}], "system": "s"},
    {"prompt": [ASKED], "completion": [SAID]},
    {"prompt": "q", "chosen": "a", "rejected": [SAID]},
    {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": {"from": "gpt", "value": "a"}},
    {"instruction": "q", "instances": [{"input": "", "output": "a"}, {"output": "b"}]},
    TREE,
    {
        "question": {"question_id": 1, "turns": ["q", "q"]},
        "answer": {"question_id": 1, "model_id": "m", "choices": [{"turns": ["a"]}, {"turns": []}]},
    },
    {"turns": [{"speaker": "X", "said": {"text": "q"}}, {"speaker": "Y", "said": {"text": "a"}}]},
    {"talk": "X: q\nY: a"},
    {"instruction": "q", "completions": [{"model": "m", "response": "a"}, {"response": 3}]},
    {"conversations": {"from": ["human", "gpt"], "value": ["q", "a"]}},
    {"messages": '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'},
    {"conversation": [{"input": "q", "output": "a", "system": "s"}, {"user": "q", "bot": "a"}]},
    {"dialogue": [["q", "a"], ["q", "a"]], "data": ["q", "a"]},
    {"system": "SYSTEM: s", "chat": "USER: q\nASSISTANT: a\nFUNCTION RESPONSE: r\nASSISTANT: b"},
    {"prompt": "\n\nHuman: q\n\nAssistant:", "completion": "a", "label": False},
    {"question": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"},
    {"question": "q", "A": "x", "B": "y", "C": 3, "answer": 1, "code": "x = 1", "article": "t"},
    {"problem": "q", "solution": "1 + 1 = 2", "answer": 2, "source": "s", "definition": "d"},
    {
        "input": {"messages": [ASKED]},
        "preferred_output": [SAID],
        "non_preferred_output": [SAID],
    },
]
COLUMNS = [
    {"prompt": "instruction", "response": "output", "input": "input", "system": "system"},
    {"prompt": "prompt.text", "response": "prompt.replies.0.text"},
    {"turns": "turns", "role": "speaker", "content": "said.text", "user": "X", "assistant": "Y"},
    {"transcript": "talk", "user": "X", "assistant": "Y"},
]


@st.composite
def damaged(draw):
    """A record of a known layout in which something, however deep, is something else."""
    return _damage(draw, draw(st.sampled_from(RECORDS)))


def _damage(draw, value):
    children = (
        list(value.items() if isinstance(value, dict) else enumerate(value))
        if isinstance(value, (dict, list))
        else []
    )
    if not children or draw(st.integers(0, 5)) == 0:
        return draw(VALUE)
    place, child = draw(st.sampled_from(children))
    changed = dict(children)
    if draw(st.integers(0, 7)) == 0:
        del changed[place]
    else:
        changed[place] = _damage(draw, child)
    return changed if isinstance(value, dict) else list(changed.values())


def assert_parts_or_reason(record, *options):
    try:
        name, parts = standardize(record, *options)
    except Unusable as problem:
        assert_reason(problem)
        return
    assert name == "columns" or name in FORMATS
    assert parts
    for label, found in parts:
        assert label is None or label.encode() is not None
        if isinstance(found, Unusable):
            assert label is not None
            assert_reason(found)
        else:
            assert_conversation(found)


def assert_reason(problem):
    assert problem.reason in REASONS
    assert len(problem.detail.splitlines()) == 1
    assert problem.detail.encode()
    assert problem.detail.isprintable()


def assert_conversation(found):
    assert found[-1]["role"] == "assistant"
    assert any(each["content"].strip() for each in found if each["role"] != "assistant")
    for message in found:
        assert set(message) == {"role", "content"}
        assert message["role"] in {"system", "user", "assistant", "tool"}
        assert message["content"].encode() is not None
        assert message["content"].strip() or message["role"] in {"user", "tool"}


AUTO = st.tuples(st.just("auto"), st.none(), st.booleans())
FORCED = st.tuples(st.sampled_from(list(FORMATS)))
OPTIONS = AUTO | FORCED | st.tuples(st.just("auto"), st.sampled_from(COLUMNS))
OBJECT = st.dictionaries(NAME, VALUE, max_size=6)


@UNHURRIED
@given(VALUE | OBJECT, OPTIONS)
def test_any_json_is_conversations_or_a_reason_on_one_line(record, options):
    assert_parts_or_reason(record, *options)


@UNHURRIED
@given(damaged(), AUTO | OPTIONS)
def test_any_damage_to_a_known_layout_is_conversations_or_a_reason(record, options):
    assert_parts_or_reason(record, *options)


SPOKEN = st.text(max_size=30).filter(lambda text: text.strip())


@st.composite
def conversations(draw):
    """As they are after reading: something asked and answered, no blank system prompt."""
    turns = draw(st.lists(st.tuples(SPOKEN, SPOKEN), min_size=1, max_size=4))
    found = [{"role": "system", "content": text} for text in draw(st.lists(SPOKEN, max_size=1))]
    for asked, said in turns:
        found += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return found


@UNHURRIED
@given(conversations())
def test_every_layout_that_lists_turns_gives_the_same_conversation(messages):
    bench = [] if messages[0]["role"] == "system" else [asked_and_answered(messages)]
    for record in [*listings(messages), *bench]:
        assert only_part(standardize(record)) == messages, record
    columns = {"turns": "a.0.b", "role": "who.name", "content": "said", "assistant": "BOT"}
    own = [
        {
            "who": {"name": "BOT" if each["role"] == "assistant" else each["role"]},
            "said": each["content"],
        }
        for each in messages
    ]
    assert only_part(standardize({"a": [{"b": own}]}, columns=columns)) == messages


@UNHURRIED
@given(conversations())
def test_a_transcript_gives_the_same_conversation_but_for_outer_white_space(messages):
    messages = [{**each, "content": each["content"].strip()} for each in messages]
    assume(
        not any(each["content"].endswith(END_MARKS) for each in messages)
    )  # dropped, as promised
    whole = "\n\n".join(f"{each['role']}:  {each['content']}" for each in messages)
    columns = {role: role for role in ("user", "assistant", "system")}
    options = {"columns": {"transcript": "a cell", **columns}}
    assert only_part(standardize({"a cell": whole}, **options)) == messages


@UNHURRIED
@given(conversations(), SPOKEN)
def test_both_answers_follow_the_same_conversation(messages, other):
    rejected = [*messages[:-1], {"role": "assistant", "content": other}]
    for record in (
        {"chosen": messages, "rejected": rejected, "prompt": "not read", "messages": messages},
        {"prompt": messages[:-1], "chosen": messages[-1:], "rejected": other},
        {"conversations": messages[:-1], "chosen": messages[-1], "rejected": rejected[-1]},
    ):
        name, parts = standardize(record)
        assert (name, parts) == ("preference", [("chosen", messages), ("rejected", rejected)])


@UNHURRIED
@given(SPOKEN, st.text(max_size=30), SPOKEN, st.none() | SPOKEN)
def test_every_layout_of_one_exchange_gives_the_same_conversation(asked, extra, said, system):
    whole = f"{asked}\n\n{extra}" if extra.strip() else asked
    exchange = [{"role": "user", "content": whole}, {"role": "assistant", "content": said}]
    messages = [{"role": "system", "content": system}, *exchange] if system else exchange
    columns = {"prompt": "x.q", "response": "x.a", "input": "x.i", "system": "s.0"}
    own = {"x": {"q": asked, "i": extra, "a": said}, "s": [system]}
    assert only_part(standardize(own, columns=columns)) == messages
    for record in (
        {"instruction": asked, "input": extra, "output": said},
        {"instruction": asked, "input": extra, "response": said, "output": None},
        {"instruction": asked, "context": extra, "response": said},
        {"Prompt": whole, "COMPLETION": said, "prompts": None},
        {"question": asked, "context": extra, "answer": said},
        {"input": whole, "output": said},
    ):
        assert only_part(standardize({**record, "system_prompt": system})) == messages, record
    nested = {"instruction": asked, "instances": [{"input": extra, "output": said}]}
    assert only_part(standardize(nested)) == exchange


@UNHURRIED
@given(conversations())
def test_what_is_exported_reads_as_the_same_conversation(messages):
    for layout, write in LAYOUTS.items():
        if write(messages, {}) is not None:
            written = json.loads(json.dumps(record_of(messages, layout)))
            assert standardize(written) == (layout, [(None, messages)])


def only_part(standard):
    [(_, found)] = standard[1]
    return found


def listings(messages):
    """Records that hold a list, or a chain, of turns."""
    turns = [(each["role"], each["content"]) for each in messages]
    names = {"system": "System", "user": "HUMAN", "assistant": "ChatGPT"}
    parts = [(role, [{"type": "text", "text": content}]) for role, content in turns]
    yield {"messages": messages}
    yield {"messages": [{"role": role, "content": content} for role, content in parts]}
    yield {"conversations": [{"from": names[role], "value": content} for role, content in turns]}
    yield {"Conversation": messages, "messages": None}
    yield {"prompt": messages[:-1], "completion": messages[-1:]}
    yield {"prompt": messages[:-1], "completion": messages[-1]["content"]}
    if messages[0]["role"] == "system":
        yield {"messages": messages[1:], "system": messages[0]["content"]}
        yield {"conversations": messages, "system": messages[0]["content"]}
    yield {"message_tree_id": "m", "prompt": chain(messages)}


def chain(messages):
    """Messages of an OASST tree, each the only reply to the one before."""
    node = None
    for each in reversed(messages):
        role = {"user": "prompter"}.get(each["role"], each["role"])
        node = {
            "message_id": "m",
            "role": role,
            "text": each["content"],
            "replies": [node] if node else [],
        }
    return node


def asked_and_answered(messages):
    """A question and an answer of MT-Bench."""
    texts = [each["content"] for each in messages]
    return {
        "question": {"question_id": 1, "turns": [*texts[::2], "unanswered"]},
        "answer": {"choices": [{"index": 0, "turns": texts[1::2]}]},
    }
