#!/usr/bin/env python3
"""A tiny random Llama over bytes, in Hugging Face format: any text is a prompt, so that clients can send what they like.

usage: make_byte_model.py OUT_DIR     (it is made; files in it are replaced)
needs: the standard library only

Its 264 tokens are the 256 bytes and Llama 3.1's special tokens; its chat template, byte_model.jinja, takes any conversation. Nearly every token is equally likely, so answers are noise, but
tools and structured output hold for noise as for sense. The same seed gives the same bytes.
"""

import array
import json
import os
import random
import struct
import sys

SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>", "<|pad|>"]
HIDDEN, INNER, LAYERS, HEADS, CONTEXT, VOCAB, SEED = 64, 128, 2, 4, 4096, 256 + len(SPECIAL), 1


def byte_names():
    """How byte-level tokenizers spell the 256 bytes: printable characters as themselves, the rest from U+0100 on."""
    names, spare = [], 0x100
    for b in range(256):
        if 0x20 < b < 0x7F or b >= 0xA1 and b != 0xAD:
            names.append(chr(b))
        else:
            names.append(chr(spare))
            spare += 1
    return names


def tokenizer():
    vocab = {name: i for i, name in enumerate(byte_names())}
    added = []
    for i, name in enumerate(SPECIAL, 256):
        vocab[name] = i
        added.append(dict(id=i, content=name, special=True, single_word=False, lstrip=False, rstrip=False, normalized=False))
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    first = dict(SpecialToken=dict(id=SPECIAL[0], type_id=0))
    post = dict(type="TemplateProcessing", single=[first, dict(Sequence=dict(id="A", type_id=0))],
                pair=[first, dict(Sequence=dict(id="A", type_id=0)), dict(Sequence=dict(id="B", type_id=0))],
                special_tokens={SPECIAL[0]: dict(id=SPECIAL[0], ids=[256], tokens=[SPECIAL[0]])})
    model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
                 byte_fallback=False, ignore_merges=False, vocab=vocab, merges=[])
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None, pre_tokenizer=level,
                post_processor=post, decoder=level, model=model)


def shapes():
    yield "model.embed_tokens.weight", [VOCAB, HIDDEN]
    for layer in range(LAYERS):
        for name, rows, columns in [("self_attn.q_proj", HIDDEN, HIDDEN), ("self_attn.k_proj", HIDDEN, HIDDEN), ("self_attn.v_proj", HIDDEN, HIDDEN),
                                    ("self_attn.o_proj", HIDDEN, HIDDEN), ("mlp.gate_proj", INNER, HIDDEN), ("mlp.up_proj", INNER, HIDDEN),
                                    ("mlp.down_proj", HIDDEN, INNER)]:
            yield f"model.layers.{layer}.{name}.weight", [rows, columns]
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"model.layers.{layer}.{name}.weight", [HIDDEN]
    yield "model.norm.weight", [HIDDEN]


def weights():
    """The bytes of a safetensors file: norms are 1, the rest is random."""
    draw, header, data = random.Random(SEED), {}, bytearray()
    for name, shape in shapes():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = array.array("f", [1.0] * count if len(shape) == 1 else (draw.gauss(0, 0.05) for _ in range(count)))
        if sys.byteorder == "big":
            values.byteswap()
        header[name] = dict(dtype="F32", shape=shape, data_offsets=[len(data), len(data) + 4 * count])
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "byte_model.jinja"), encoding="utf-8") as f:
        chat_template = f.read()
    ends = [257, 258, 259]
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
                  num_attention_heads=HEADS, num_key_value_heads=HEADS, head_dim=HIDDEN // HEADS, max_position_embeddings=CONTEXT, vocab_size=VOCAB,
                  rms_norm_eps=1e-5, rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=True, torch_dtype="float32",
                  attention_bias=False, mlp_bias=False, bos_token_id=256, eos_token_id=ends)
    files = {"config.json": config, "tokenizer.json": tokenizer(), "generation_config.json": dict(bos_token_id=256, eos_token_id=ends),
             "tokenizer_config.json": dict(tokenizer_class="PreTrainedTokenizerFast", bos_token=SPECIAL[0], eos_token=SPECIAL[2], pad_token=SPECIAL[7],
                                           clean_up_tokenization_spaces=False, model_max_length=CONTEXT, chat_template=chat_template)}
    for name, value in files.items():
        with open(os.path.join(out, name), "w", encoding="utf-8") as f:
            json.dump(value, f, ensure_ascii=False, indent=1)
    with open(os.path.join(out, "model.safetensors"), "wb") as f:
        f.write(weights())


if __name__ == "__main__":
    main()
