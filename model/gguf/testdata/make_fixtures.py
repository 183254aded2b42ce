"""GGUF files by the format's own library, with what that and llama.cpp make of them: the ground truth of the GGUF tests.

usage: make_fixtures.py [OUT_DIR]        (default: this folder)
needs: gguf numpy llama-cpp-python

It writes
  types.gguf, types.f32   a tensor of each type, of random blocks, and all their values [tensors, 512] float32 in the order of their
                          names, dequantised by the gguf library
  NAME.gguf, NAME.json    for some of the models in model/testdata/hf, in some type: the file, and the most probable tokens that llama.cpp
                          gives after a prompt, with the smallest gap between the two best logits on the way; a model in the
                          manner of Llama 3 has the tokenizer bpe512 of model/tokenizer/testdata in it
The conversion is that of llama.cpp's converter: rows of queries and keys are turned from halves to pairs.
"""
import json
import math
import os
import sys

import gguf
import llama_cpp
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
HF = os.path.join(HERE, "..", "..", "testdata", "hf")
BPE = os.path.join(HERE, "..", "..", "tokenizer", "testdata", "bpe512")

# name: (folder in model/testdata/hf, type of the matrices, smallest gap)
MODELS = {
    "llama3-bf16": ("llama3-tied-hub-bf16", "BF16", 0.05),
    "mha-q8_0": ("mha", "Q8_0", 0.1),
    "mha-q4_0": ("mha", "Q4_0", 0.1),
}
GREEDY = 16
T = gguf.GGMLQuantizationType


def blocks(kind, rows, columns, rng):
    """Random bytes whose scales are f16 numbers that may be subnormal, zero or negative."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    n = rows * columns // values
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    scale = (rng.standard_normal((n, 2)) * 10.0 ** rng.uniform(-8, 0, (n, 2))).astype("<f2").view(np.uint8)
    if kind in (T.Q4_K, T.Q5_K, T.Q4_1, T.Q5_1):
        raw[:, :4] = scale
    elif kind == T.Q6_K:
        raw[:, 208:] = scale[:, :2]
    elif kind in (T.Q4_0, T.Q5_0, T.Q8_0):
        raw[:, :2] = scale[:, :2]
    elif kind == T.F16:
        raw = (rng.standard_normal((n, 1)) * 10.0 ** rng.uniform(-8, 4, (n, 1))).astype("<f2").view(np.uint8)
    else:
        raw = (rng.standard_normal((n, 1)) * 10.0 ** rng.uniform(-30, 30, (n, 1))).astype("<f4").view(np.uint8)[:, 4 - size:]
    return np.ascontiguousarray(raw).reshape(rows, -1)


def types(out):
    rng = np.random.default_rng(1)
    w = gguf.GGUFWriter(os.path.join(out, "types.gguf"), "llama")
    values = []
    for name in sorted(["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]):
        raw = blocks(T[name], 2, 256, rng)
        values.append(gguf.quants.dequantize(raw.view({T.F32: "<f4", T.F16: "<f2"}.get(T[name], np.uint8)), T[name]).astype("<f4"))
        w.add_tensor(name, raw.view({T.F32: "<f4", T.F16: "<f2"}.get(T[name], np.uint8)), raw_dtype=T[name])
    finish(w)
    np.stack(values).reshape(len(values), 512).tofile(os.path.join(out, "types.f32"))


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def pairs(t, heads):
    """Hugging Face keeps rotary halves apart, GGUF has them side by side."""
    return t.reshape(heads, 2, t.shape[0] // heads // 2, t.shape[1]).swapaxes(1, 2).reshape(t.shape)


LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


def llama3_factors(head_dim, rope):
    """What each frequency is divided by, as llama.cpp's converter computes it."""
    freqs = 1.0 / (rope["theta"] ** (np.arange(0, head_dim, 2, dtype=np.float32) / head_dim))
    low, high, factor, original = (rope[k] for k in ("low_freq_factor", "high_freq_factor", "factor", "original_max_position_embeddings"))
    factors = []
    for freq in freqs:
        wavelength = 2 * math.pi / freq
        if wavelength < original / high:
            factors.append(1)
        elif wavelength > original / low:
            factors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, dtype=np.float32)


def shape(w, c, head_dim):
    rope = dict(c.get("rope_scaling") or c.get("rope_parameters") or {})
    rope["theta"] = c.get("rope_theta") or rope["rope_theta"]
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_block_count(c["num_hidden_layers"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_rope_freq_base(rope["theta"])
    w.add_rope_dimension_count(head_dim)
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_vocab_size(c["vocab_size"])
    if rope.get("rope_type") == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_factors(head_dim, rope))


def tokens(w, c):
    """The tokenizer, as the converter writes it: ids that no token has are unused ones."""
    t, config = (json.load(open(os.path.join(BPE, n))) for n in ("tokenizer.json", "tokenizer_config.json"))
    names = {id: (name, gguf.TokenType.NORMAL) for name, id in t["model"]["vocab"].items()}
    for a in t["added_tokens"]:
        names[a["id"]] = (a["content"], gguf.TokenType.CONTROL if a["special"] else gguf.TokenType.USER_DEFINED)
    table = [names.get(i, (f"[PAD{i}]", gguf.TokenType.UNUSED)) for i in range(c["vocab_size"])]
    ids = {name: i for i, (name, _) in enumerate(table)}
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list([name for name, _ in table])
    w.add_token_types([kind for _, kind in table])
    w.add_token_merges([" ".join(pair) for pair in t["model"]["merges"]])
    w.add_bos_token_id(ids[config["bos_token"]])
    w.add_eos_token_id(ids[config["eos_token"]])
    w.add_pad_token_id(ids[config["pad_token"]])
    w.add_add_bos_token(True)
    w.add_chat_template(config["chat_template"])


def model(path, folder, kind):
    c = json.load(open(os.path.join(folder, "config.json")))
    heads, kv = c["num_attention_heads"], c["num_key_value_heads"]
    w = gguf.GGUFWriter(path, "llama")
    shape(w, c, c.get("head_dim") or c["hidden_size"] // heads)
    if "llama3" in folder:
        tokens(w, c)
    else:
        w.add_tokenizer_model("no_vocab")
    w.add_file_type({"BF16": 32, "Q8_0": 7, "Q4_0": 2}[kind])
    for key, a in tensors(os.path.join(folder, "model.safetensors")):
        name = TOP.get(key)
        if name is None:
            _, _, layer, *rest = key.removesuffix(".weight").split(".")
            name = f"blk.{layer}.{LAYER['.'.join(rest)]}.weight"
            a = pairs(a, {"q_proj": heads, "k_proj": kv}[rest[-1]]) if rest[-1] in ("q_proj", "k_proj") else a
        if a.ndim == 1:
            w.add_tensor(name, a)
        else:
            w.add_tensor(name, gguf.quants.quantize(a, T[kind]), raw_dtype=T[kind])
    finish(w)
    return c["vocab_size"]


def tensors(path):
    """Names and values, as float32, of a safetensors file; numpy has no BF16, so that the bytes are widened here."""
    raw = open(path, "rb").read()
    data = 8 + int.from_bytes(raw[:8], "little")
    for key, e in json.loads(raw[8:data]).items():
        if key == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        part = raw[data + begin:data + end]
        if e["dtype"] == "BF16":
            a = (np.frombuffer(part, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            a = np.frombuffer(part, {"F32": "<f4", "F16": "<f2"}[e["dtype"]]).astype(np.float32)
        yield key, a.reshape(e["shape"])


def greedy(path, vocab, gap):
    """The prompt of the first seed after which llama.cpp's two best logits never come closer than gap."""
    llm = llama_cpp.Llama(path, n_ctx=128, n_threads=1, n_gpu_layers=0, logits_all=True, verbose=False)
    for seed in range(1, 1000):
        prompt = np.random.default_rng(seed).integers(0, vocab - 16, 12).tolist()
        made, gaps = [], []
        for _ in range(GREEDY):
            llm.reset()
            llm.eval(prompt + made)
            row = np.array(llm.scores[len(prompt) + len(made) - 1])
            best = np.argsort(row)[::-1]
            gaps.append(float(row[best[0]] - row[best[1]]))
            made.append(int(best[0]))
        if min(gaps) >= gap and len(set(made)) > 3:
            return dict(llama_cpp_python=llama_cpp.__version__, gguf="0.19.0", prompt=prompt, greedy=made, min_gap=min(gaps))
    sys.exit(f"{path}: no prompt keeps the two best logits {gap} apart")


if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else HERE
    types(out)
    for name, (folder, kind, gap) in MODELS.items():
        path = os.path.join(out, name + ".gguf")
        vocab = model(path, os.path.join(HF, folder), kind)
        with open(os.path.join(out, name + ".json"), "w") as f:
            json.dump(greedy(path, vocab, gap), f)
            f.write("\n")
        print(name, os.path.getsize(path) // 1000, "KB")
