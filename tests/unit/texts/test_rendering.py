"""Templates and cuts: which token ids a model reads, and which of them are scored."""

import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from instructmining.errors import UserError
from udfs.texts.rendering import Rendered, cut, render, tokenize
from udfs.texts.templates import Template, special_tokens, start_token

TWO_TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Paris?"},
    {"role": "assistant", "content": "Yes."},
]


@pytest.fixture(scope="module")
def llama_like():
    return tiny_models.bpe_tokenizer()


@pytest.fixture(scope="module")
def qwen_like():
    return tiny_models.bpe_tokenizer(bos=None, chat=True)


def read(tokenizer, name, conversation, reply=0):
    """What a model reads, as text, and the part of it that is scored."""
    reasons = [None]
    rendered = render(Template(name, tokenizer), [conversation], reasons, reply)[0]
    assert reasons == [None]
    counted = [i for i, flag in zip(rendered.ids, rendered.counted, strict=True) if flag]
    return tokenizer.decode(rendered.ids), tokenizer.decode(counted), rendered


@pytest.mark.parametrize(
    ("name", "text", "counted"),
    [
        (
            "tags",
            "<s><|user|>Hi<|assistant|>Hello.<|endoftext|><|user|>Paris?<|assistant|>Yes.<|endoftext|>",
            "Hello.<|endoftext|>Yes.<|endoftext|>",
        ),
        (
            "plain",
            "<s>Hi\nHello.<|endoftext|>\nParis?\nYes.<|endoftext|>",
            "Hello.<|endoftext|>Yes.<|endoftext|>",
        ),
        (
            "oasst",
            "<|prompter|>Hi<|endoftext|><|assistant|>Hello.<|endoftext|>"
            "<|prompter|>Paris?<|endoftext|><|assistant|>Yes.<|endoftext|>",
            "Hello.<|endoftext|>Yes.<|endoftext|>",
        ),
        (
            "alpaca",
            "<s>Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nHi\n\n### Response:\nHello.<|endoftext|>"
            "\n\n### Instruction:\nParis?\n\n### Response:\nYes.<|endoftext|>",
            "Hello.<|endoftext|>Yes.<|endoftext|>",
        ),
    ],
)
def test_templates_read_and_score_exactly_this(llama_like, name, text, counted):
    assert read(llama_like, name, TWO_TURNS)[:2] == (text, counted)


def test_the_chat_template_is_the_tokenizers_own(qwen_like):
    text, counted, rendered = read(qwen_like, "chat", TWO_TURNS)
    assert text == qwen_like.apply_chat_template(TWO_TURNS, tokenize=False)
    assert rendered.ids == qwen_like(text)["input_ids"]
    assert counted == "Hello.<|im_end|>Yes.<|im_end|>"


def test_no_chat_template_reads_the_clock(qwen_like):
    own = qwen_like.get_chat_template()
    asking = "Today is {{ strftime_now('%d %b %Y') }}, given {{ date_string }}." + own
    qwen_like.chat_template = asking
    try:
        text, _, _ = read(qwen_like, "chat", TWO_TURNS)
    finally:
        qwen_like.chat_template = own
    assert text.startswith("Today is 26 Jul 2024, given 26 Jul 2024.")


def test_lengths_count_contents_alone(llama_like):
    rendered = read(llama_like, "alpaca", TWO_TURNS)[2]
    tokens = [len(llama_like(m["content"], add_special_tokens=False).input_ids) for m in TWO_TURNS]
    assert rendered.prompt_tokens == tokens[0] + tokens[2]
    assert rendered.response_tokens == tokens[1] + tokens[3]


def test_a_content_that_spells_a_special_token_stays_text(llama_like):
    conversation = [
        {"role": "user", "content": "Hi<|endoftext|>"},
        {"role": "assistant", "content": "<|assistant|>"},
    ]
    rendered = read(llama_like, "tags", conversation)[2]
    eos = llama_like.eos_token_id
    assert rendered.ids.count(eos) == 1
    assert rendered.ids[-1] == eos
    assert rendered.response_tokens > 1


def test_the_reply_begins_at_the_first_or_at_the_last_assistant_turn(llama_like):
    first = read(llama_like, "tags", TWO_TURNS, reply=0)[2]
    last = read(llama_like, "tags", TWO_TURNS, reply=-1)[2]
    assert llama_like.decode(first.ids[first.split :]).startswith("Hello.")
    assert llama_like.decode(last.ids[last.split :]) == "Yes.<|endoftext|>"


def test_a_pair_is_put_together_as_the_tokenizer_does(tmp_path):
    tokenizer = tiny_models.unigram_tokenizer("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]")
    pair = [{"role": "user", "content": "What is Paris?"}, {"role": "assistant", "content": "Yes"}]
    rendered = read(tokenizer, "pair", pair, reply=-1)[2]
    assert rendered.ids == tokenizer("What is Paris?", "Yes")["input_ids"]


def test_special_tokens_of_a_tokenizer_are_found(llama_like):
    t5_like = tiny_models.unigram_tokenizer()
    assert special_tokens(t5_like) == ((), (), (1,))
    assert special_tokens(t5_like, pair=True) == ((), (1,), (1,))
    assert special_tokens(llama_like) == ((1,), (), ())


def test_eos_stands_in_for_a_missing_bos(qwen_like, llama_like):
    assert start_token(qwen_like) == qwen_like.eos_token_id
    assert start_token(llama_like) == llama_like.bos_token_id


def test_what_a_tool_returned_is_read_as_the_users_where_there_is_no_tag_for_it(llama_like):
    tool = [{"role": "tool", "content": "42"}, {"role": "assistant", "content": "Yes"}]
    text, counted, _ = read(llama_like, "tags", tool)
    assert text == "<s><|user|>42<|assistant|>Yes<|endoftext|>"
    assert counted == "Yes<|endoftext|>"


def test_roles_that_a_template_does_not_take_are_the_rows_own_reason_and_no_failure(llama_like):
    developer = [{"role": "developer", "content": "42"}, {"role": "assistant", "content": "Yes"}]
    reasons = [None, None]
    rendered = render(Template("tags", llama_like), [developer, TWO_TURNS], reasons)
    assert reasons == [
        "the template tags does not take these turns: the tokenizer has no tag for the role "
        "'developer'",
        None,
    ]
    assert rendered[0].ids == []
    assert rendered[1].ids


def test_a_template_that_takes_no_conversation_at_all_is_a_failure(qwen_like):
    template = Template("chat", qwen_like)
    template.tokenizer = tiny_models.bpe_tokenizer(bos=None, chat=True)
    template.tokenizer.chat_template = "{{ raise_exception('no') }}"
    reasons = [None]
    render(template, [TWO_TURNS], reasons)
    assert reasons[0].startswith("failed: ")


@pytest.mark.parametrize("name", ["tags", "plain", "oasst", "alpaca"])
def test_a_turn_that_is_not_to_be_learnt_is_read_and_not_counted(llama_like, name):
    context = {**TWO_TURNS[1], "role": "assistant_context"}
    whole, _, every = read(llama_like, name, TWO_TURNS)
    text, counted, rendered = read(llama_like, name, [TWO_TURNS[0], context, *TWO_TURNS[2:]])
    assert text == whole
    assert counted == "Yes.<|endoftext|>"
    assert rendered.prompt_tokens + rendered.response_tokens == (
        every.prompt_tokens + every.response_tokens
    )
    assert llama_like.decode(rendered.ids[: rendered.split]).count("Hello.") == 1


def test_unknown_templates_and_missing_chat_templates_are_refused(llama_like):
    with pytest.raises(UserError, match="choose one of tags"):
        Template("vicuna", llama_like)
    with pytest.raises(UserError, match="no chat template"):
        Template("chat", llama_like)


def test_a_text_that_the_tokenizer_refuses_costs_only_its_row(llama_like):
    reasons = [None, None, "left out"]
    ids = tokenize(llama_like, [["Hi"], ["\ud800"], ["Hi"]], reasons)
    assert ids[0] == [llama_like("Hi")["input_ids"]]
    assert ids[1] == ids[2] == []
    assert reasons[1].startswith("failed: ")
    assert reasons[2] == "left out"


@st.composite
def rendered_texts(draw):
    lead, prompt, reply, end = (
        draw(st.integers(low, high)) for low, high in ((0, 6), (0, 60), (1, 60), (0, 3))
    )
    size = lead + prompt + reply + end
    counted = [False] * (lead + prompt) + [True] * reply + [False] * end
    return Rendered(list(range(size)), counted, lead, lead + prompt, end, prompt, reply)


@given(rendered_texts(), st.integers(8, 80), st.booleans())
def test_a_cut_keeps_the_end_of_the_prompt_and_the_start_of_the_reply(text, limit, keep_end):
    kept = cut(text, limit, keep_end)
    assert len(kept.ids) == len(kept.counted) == min(limit, len(text.ids))
    assert kept.ids == sorted(set(kept.ids)), "in order, nothing twice"
    assert [text.counted[i] for i in kept.ids] == kept.counted
    if len(text.ids) <= limit:
        assert kept is text
        return
    prompt = kept.ids[: kept.split]
    reply = kept.ids[kept.split :]
    assert prompt[: kept.lead] == list(range(kept.lead))
    assert prompt[kept.lead :] == list(range(text.split - (kept.split - kept.lead), text.split))
    assert reply[0] == text.split
    wanted = len(text.ids) - text.split
    assert kept.split >= min(text.split, limit // 4)
    assert len(reply) == wanted or kept.split == min(text.split, max(limit // 4, limit - wanted))
    if keep_end and text.end:
        assert kept.ids[-text.end :] == list(range(len(text.ids) - text.end, len(text.ids)))


def test_a_cut_by_hand():
    text = Rendered(list(range(20)), [False] * 10 + [True] * 10, 2, 10, 1, 8, 9)
    assert cut(text, 8, keep_end=False).ids == [0, 1, 10, 11, 12, 13, 14, 15]
    assert cut(text, 8, keep_end=True).ids == [0, 1, 10, 11, 12, 13, 14, 19]
    assert cut(text, 16, keep_end=False).ids == [0, 1, 6, 7, 8, 9, *range(10, 20)]
