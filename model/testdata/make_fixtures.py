"""Tiny random Llamas in Hugging Face format, with what transformers computes for them: the ground truth of the parity tests.

usage: make_fixtures.py [OUT_DIR]        (default: the folder hf beside this file; it is replaced)
needs: torch transformers safetensors

Each folder holds config.json, generation_config.json, the weights, and
  golden.json    prompt, 64 greedy tokens that follow it, the log-softmax of each, the smallest gap between the two best
                 logits on the way, the positions of logits.f32 and the versions that made them
  logits.f32     [positions, vocab] float32, little endian: logits at those positions of prompt + greedy tokens
Everything is computed in float32 from the weights as they are on disk (in bfloat16 or float16 for some).
"""
import json
import os
import shutil
import sys

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

VOCAB, PROMPT, GREEDY = 512, 40, 64
MIN_GAP = 2e-3  # ten times the tolerance on logits, so that greedy tokens cannot differ by rounding

SMALL = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4)
WIDE = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)

# name: (sizes, other settings, dtype on disk, form of config.json, shard size)
FIXTURES = {
    "mha": (SMALL, dict(rope_theta=10000.0), torch.float32, "v5", None),
    "gqa-tied-bf16": (dict(WIDE, num_hidden_layers=3, intermediate_size=96), dict(rope_theta=500000.0, tie_word_embeddings=True), torch.bfloat16, "v5", None),
    "llama3-tied-hub-bf16": (WIDE, dict(rope_theta=500000.0, rope=LLAMA3, tie_word_embeddings=True, eos_token_id=[508, 509, 510]),
                             torch.bfloat16, "hub", None),
    "llama3-f16": (WIDE, dict(rope_theta=10000.0, rope=LLAMA3, bos_token_id=None), torch.float16, "v5", None),
    "linear-hub": (SMALL, dict(rope_theta=10000.0, rope=dict(type="linear", factor=4.0)), torch.float32, "hub", None),
    "linear": (dict(SMALL, num_key_value_heads=2), dict(rope_theta=10000.0, rope=dict(rope_type="linear", factor=2.0), tie_word_embeddings=True),
               torch.float32, "v5", None),
    "sharded": (dict(SMALL, num_key_value_heads=2), dict(rope_theta=10000.0), torch.float32, "hub", "70KB"),
    "head-dim": (dict(SMALL, head_dim=24, num_key_value_heads=1), dict(rope_theta=10000.0, tie_word_embeddings=True), torch.float32, "v5", None),
}


def random_model(sizes, settings, seed):
    """A Llama whose weights are large enough that attention is uneven and logits differ, and whose norms are not 1."""
    settings = dict(settings)
    rope = dict(settings.pop("rope", {}), rope_theta=settings.pop("rope_theta"))
    rope["rope_type"] = rope.pop("type", rope.get("rope_type", "default"))
    settings = dict(dict(bos_token_id=509, eos_token_id=510), **settings)
    config = LlamaConfig(vocab_size=VOCAB, max_position_embeddings=512, rope_parameters=rope, rms_norm_eps=1e-5, initializer_range=0.2,
                         **sizes, **settings)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.copy_(0.5 + torch.rand_like(p))
    return model


def hub_form(folder, settings, dtype):
    """Rewrites config.json the way published Llama 2 and 3 folders have it."""
    path = os.path.join(folder, "config.json")
    config = json.load(open(path))
    rope = dict(settings.get("rope") or {}) or None
    for key in ("rope_parameters", "dtype", "head_dim"):
        config.pop(key, None)
    config.update(rope_theta=settings["rope_theta"], rope_scaling=rope, torch_dtype=str(dtype).removeprefix("torch."),
                  transformers_version="4.45.0", pretraining_tp=1)
    json.dump(config, open(path, "w"), indent=2, sort_keys=True)


@torch.no_grad()
def greedy(model, prompt):
    """The greedy tokens with their log-probabilities, one token at a time over a cache, and the smallest gap."""
    tokens, logprobs, gaps, cache, ids = [], [], [], None, torch.tensor([prompt])
    for _ in range(GREEDY):
        out = model(ids, past_key_values=cache, use_cache=True)
        cache, row = out.past_key_values, out.logits[0, -1]
        best = torch.topk(row, 2)
        tokens.append(int(best.indices[0]))
        logprobs.append(float(torch.log_softmax(row, -1)[tokens[-1]]))
        gaps.append(float(best.values[0] - best.values[1]))
        ids = torch.tensor([[tokens[-1]]])
    return tokens, logprobs, min(gaps)


def golden(folder, seed):
    """Computes and writes the truth of one folder; False where the two best logits came too close."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    g = torch.Generator().manual_seed(seed)
    prompt = torch.randint(0, VOCAB, (PROMPT,), generator=g).tolist()
    tokens, logprobs, gap = greedy(model, prompt)
    if gap < MIN_GAP:
        return False
    positions = [0, 1, 7, PROMPT - 1, PROMPT, 63, 64, PROMPT + GREEDY - 1]
    with torch.no_grad():
        logits = model(torch.tensor([prompt + tokens])).logits[0]
    logits[positions].contiguous().numpy().astype("<f4").tofile(os.path.join(folder, "logits.f32"))
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(dict(transformers=transformers.__version__, torch=torch.__version__, seed=seed, prompt=prompt, greedy=tokens,
                       logprobs=[round(x, 7) for x in logprobs], min_gap=gap, positions=positions), f)
        f.write("\n")
    return True


def make(name, folder):
    sizes, settings, dtype, form, shard = FIXTURES[name]
    for seed in range(1, 100):
        shutil.rmtree(folder, ignore_errors=True)
        model = random_model(sizes, settings, seed).to(dtype)
        model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
        if form == "hub":
            hub_form(folder, settings, dtype)
        if golden(folder, seed):
            break
    else:
        sys.exit(f"{name}: no seed keeps the two best logits {MIN_GAP} apart")
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name}: seed {seed}, {size // 1000} KB, distinct greedy tokens {len(set(json.load(open(os.path.join(folder, 'golden.json')))['greedy']))}")


if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "hf")
    torch.set_num_threads(1)  # the same sums in the same order on every machine
    transformers.utils.logging.disable_progress_bar()
    for name in FIXTURES:
        make(name, os.path.join(out, name))
