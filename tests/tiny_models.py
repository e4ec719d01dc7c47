"""Real architectures with random weights, small enough for a test, saved as the hub's folders are.

Weights are drawn wider than transformers' default, so that outputs differ visibly between texts.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    CohereConfig,
    CohereForCausalLM,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GPTNeoXModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

TEXTS = [
    "Give three tips for staying healthy. Eat well, sleep enough and move every day.",
    "Is this a natural response in the dialogue? Yes or No. question: response: history:",
    "What is the capital of France? The capital of France is Paris, on the river Seine.",
    "Below is an instruction that describes a task. Write a response that completes the request.",
    "Explain why the sky is blue: short waves of light are scattered more than long ones.",
    "Yes Yes Yes Yes Yes Yes Yes No No No No No No No No Yes No",
]
TAGS = ["<|user|>", "<|assistant|>", "<|system|>", "<|prompter|>"]
# The last assistant turn opens with an empty thought, as in the Qwen3 family.
CHAT_TEMPLATE = (
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{%- if loop.last and m.role == 'assistant' %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{{- m.content + '<|im_end|>\\n' }}{% endfor %}"
)
_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
}
_DECODER = {**_SHAPE, "num_key_value_heads": 2, "max_position_embeddings": 256, "head_dim": 8}


def bpe_tokenizer(bos: str | None = "<s>", chat: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE as of GPT-NeoX and Qwen; with `bos` it puts that in front, as Llama's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<s>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", *TAGS]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A",
            pair=f"{bos} $A {bos} $B",
            special_tokens=[(bos, special.index(bos))],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>", *TAGS],
        chat_template=CHAT_TEMPLATE if chat else None,
    )


def unigram_tokenizer(closing: str = "$A </s>", pair: str = "$A </s> $B </s>"):
    """A SentencePiece-like unigram model with the closings of T5, or those given."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Replace(" {2,}", " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>", "[CLS]", "[SEP]"]
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=closing, pair=pair, special_tokens=[(t, i) for i, t in enumerate(special)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def llama(folder: Path, positions: int = 256) -> Path:
    return _save(
        folder,
        lambda c: LlamaForCausalLM(LlamaConfig(**{**c, "max_position_embeddings": positions})),
        bpe_tokenizer(),
    )


def gpt2(folder: Path) -> Path:
    config = GPT2Config(
        n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.3, vocab_size=400
    )
    return _save(folder, lambda c: GPT2LMHeadModel(config), bpe_tokenizer(bos=None))


def neox(folder: Path) -> Path:
    return _save(folder, lambda c: GPTNeoXForCausalLM(GPTNeoXConfig(**c)), bpe_tokenizer())


def qwen3(folder: Path) -> Path:
    return _save(
        folder, lambda c: Qwen3ForCausalLM(Qwen3Config(**c)), bpe_tokenizer(bos=None, chat=True)
    )


def gemma2(folder: Path) -> Path:
    return _save(
        folder,
        lambda c: Gemma2ForCausalLM(Gemma2Config(**c, final_logit_softcapping=3.0)),
        bpe_tokenizer(),
    )


def neox_reward(folder: Path, pooling: str = "last") -> Path:
    """A folder as Open-Assistant wrote them: own model type, old config keys, legacy buffers."""
    config = {
        "vocab_size": 400,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "initializer_range": 0.3,
        "max_position_embeddings": 256,
        "rotary_pct": 0.25,
        "rotary_emb_base": 10000,
        "layer_norm_eps": 1e-5,
        "use_parallel_residual": True,
    }
    torch.manual_seed(0)
    body = GPTNeoXModel(GPTNeoXConfig(**config))
    weights = {f"gpt_neox.{name}": tensor for name, tensor in body.state_dict().items()}
    for name, tensor in weights.items():
        if name.endswith(("bias", "norm.weight", "layernorm.weight")):
            weights[name] = tensor + 0.1 * torch.randn_like(tensor)
    for layer in range(2):
        attention = f"gpt_neox.layers.{layer}.attention"
        weights[f"{attention}.bias"] = torch.ones(1, 1, 256, 256).tril().bool()
        weights[f"{attention}.masked_bias"] = torch.tensor(-1e9)
        weights[f"{attention}.rotary_emb.inv_freq"] = torch.ones(1)
    weights["out_proj.weight"] = torch.randn(1, 32)
    weights["out_proj.bias"] = torch.tensor([1.5])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    written = {
        **config,
        "model_type": "gpt_neox_reward_model",
        "pooling": pooling,
        "architectures": ["GPTNeoXRewardModel"],
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(written), encoding="utf-8")
    bpe_tokenizer(bos=None).save_pretrained(folder)
    return folder


def cohere(folder: Path) -> Path:
    return _save(
        folder,
        lambda c: CohereForCausalLM(CohereConfig(**c, logit_scale=0.25)),
        bpe_tokenizer(),
    )


def qwen3_reward(folder: Path) -> Path:
    return _save(
        folder,
        lambda c: Qwen3ForSequenceClassification(Qwen3Config(**c, num_labels=1)),
        bpe_tokenizer(bos=None, chat=True),
    )


def gpt2_reward_without_pad(folder: Path) -> Path:
    config = GPT2Config(
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=128,
        initializer_range=0.3,
        vocab_size=400,
        num_labels=1,
        pad_token_id=None,
    )
    return _save(folder, lambda c: GPT2ForSequenceClassification(config), bpe_tokenizer(bos=None))


def deberta_reward(folder: Path) -> Path:
    config = {
        **_SHAPE,
        "vocab_size": 300,
        "num_labels": 1,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
    }
    tokenizer = unigram_tokenizer("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]")
    model = lambda c: DebertaV2ForSequenceClassification(DebertaV2Config(**config))  # noqa: E731
    return _save(folder, model, tokenizer)


def bert_classifier(folder: Path, labels: tuple[str, ...] = ("bad", "good")) -> Path:
    """A BERT with two token types, so that pairs have to be marked as such."""
    words = sorted({w for text in TEXTS for w in text.lower().split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(chr, range(97, 123)), *words]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)), encoding="utf-8")
    config = BertConfig(
        **_SHAPE,
        vocab_size=400,
        max_position_embeddings=128,
        id2label=dict(enumerate(labels)),
        label2id={name: i for i, name in enumerate(labels)},
    )
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    return _save(folder, lambda c: BertForSequenceClassification(config), tokenizer)


def t5(folder: Path) -> Path:
    config = T5Config(
        vocab_size=300,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        initializer_factor=1.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
    )
    return _save(folder, lambda c: T5ForConditionalGeneration(config), unigram_tokenizer())


def _save(folder: Path, build, tokenizer) -> Path:
    torch.manual_seed(0)
    model = build({**_DECODER, "vocab_size": 400, "pad_token_id": 0})
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
