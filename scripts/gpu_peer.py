#!/usr/bin/env python3
"""Time transformers on the cases of `astro bench step --random-weights`, for figures of the same card in the same form.

usage: gpu_peer.py --shape 1b|3b|8b|tiny [--batch 1,8] [--positions 1024,4096] [--prefill 1024] [--steps 24] [--dtype bf16|f32] [--no-compile]

A model of that shape gets random weights on the device. Decodes have a static cache and a forward pass compiled by torch.compile (with CUDA
graphs on a GPU), the next token is the largest logit, and each step ends when the host has its tokens, as ours do. Keys and values are random
numbers. Prompts are one forward pass that keeps the last token's logits. One JSON object a line. Needs torch and transformers 5; where they
are missing one line says so and the exit status is 0, for there is nothing to compare with.
"""

import argparse
import inspect
import json
import platform
import statistics
import sys
import time

try:
    import torch
    import transformers
    from transformers import LlamaConfig, LlamaForCausalLM, StaticCache
except ImportError as e:
    print(json.dumps({"case": "peer", "skipped": f"{e}: torch and transformers 5 are needed"}))
    sys.exit(0)


def llama3(factor):
    return dict(rope_type="llama3", rope_theta=500000.0, factor=factor, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)


# As model/shapes.go has them.
SHAPES = {
    "tiny": dict(vocab_size=512, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=32, intermediate_size=128,
                 max_position_embeddings=4096, tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    "1b": dict(vocab_size=128256, hidden_size=2048, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8, head_dim=64,
               intermediate_size=8192, max_position_embeddings=131072, tie_word_embeddings=True, rope_parameters=llama3(32.0)),
    "3b": dict(vocab_size=128256, hidden_size=3072, num_hidden_layers=28, num_attention_heads=24, num_key_value_heads=8, head_dim=128,
               intermediate_size=8192, max_position_embeddings=131072, tie_word_embeddings=True, rope_parameters=llama3(32.0)),
    "8b": dict(vocab_size=128256, hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, head_dim=128,
               intermediate_size=14336, max_position_embeddings=131072, tie_word_embeddings=False, rope_parameters=llama3(8.0)),
}


def numbers(text):
    values = [int(x) for x in text.split(",") if x]
    if any(x < 0 for x in values):
        raise argparse.ArgumentTypeError(f"{text}: want numbers of at least 0")
    return [x for x in values if x]


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--shape", choices=SHAPES, required=True)
    p.add_argument("--batch", type=numbers, default=[1, 8, 32, 64, 128, 256], help="sequences per decode step")
    p.add_argument("--positions", type=numbers, default=[1024, 4096], help="tokens that each sequence has in the cache already")
    p.add_argument("--prefill", type=numbers, default=[1024, 4096, 16384], help="tokens of timed prompts; 0 = none")
    p.add_argument("--steps", type=int, default=24, help="timed decode steps per case")
    p.add_argument("--prefills", type=int, default=3)
    p.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--no-compile", action="store_true", help="run the forward pass as it is")
    o = p.parse_args()
    if o.steps < 1 or o.prefills < 1:
        p.error("--steps and --prefills must be at least 1")
    return o


class Peer:
    def __init__(self, o):
        self.o, self.dtype = o, {"bf16": torch.bfloat16, "f32": torch.float32}[o.dtype]
        torch.manual_seed(1)
        with torch.device(o.device):
            torch.set_default_dtype(self.dtype)
            self.model = LlamaForCausalLM(LlamaConfig(**SHAPES[o.shape], attn_implementation="sdpa")).eval()
            torch.set_default_dtype(torch.float32)
        names = inspect.signature(self.model.forward).parameters
        self.cache_name = "cache" if "cache" in names else "past_key_values"
        self.forward = self.model.forward
        if not o.no_compile:
            self.forward = torch.compile(self.model.forward, mode="reduce-overhead" if o.device == "cuda" else "default")

    def name(self):
        return torch.cuda.get_device_name() if self.o.device == "cuda" else f"{platform.machine()}, {torch.get_num_threads()} threads"

    def report(self, case, batch, position, tokens, took):
        """took is seconds of each run, or in words why there are none."""
        m = dict(case=case, backend="torch " + torch.__version__, device=self.name(), model=self.o.shape, dtype=self.o.dtype, batch=batch, position=position,
                 tokens=tokens, compiled=case == "decode" and not self.o.no_compile, transformers=transformers.__version__)
        if isinstance(took, str):
            m["skipped"] = took
        else:
            m.update(best_ms=min(took) * 1e3, median_ms=statistics.median(took) * 1e3, tokens_per_s=tokens / min(took))
        print(json.dumps(m), flush=True)

    def filled_cache(self, batch, position):
        cache = StaticCache(config=self.model.config, max_cache_len=position + self.o.steps + 8)
        if not hasattr(cache.layers[0], "cumulative_length"):
            sys.exit(f"gpu_peer: the static cache of transformers {transformers.__version__} has no cumulative_length; install transformers 5")
        self.model(input_ids=torch.zeros((batch, 1), dtype=torch.long, device=self.o.device), use_cache=True, logits_to_keep=1, **{self.cache_name: cache})
        for layer in cache.layers:  # in place, for the addresses are static
            layer.keys.normal_()
            layer.values.normal_()
            layer.cumulative_length.fill_(position)
        return cache

    def decode(self, batch, position):
        cache = self.filled_cache(batch, position)
        tokens = torch.full((batch, 1), 2, dtype=torch.long, device=self.o.device)
        took = []
        for step in range(3 + self.o.steps):  # the first three compile and record
            start = time.perf_counter()
            if self.o.device == "cuda":
                torch.compiler.cudagraph_mark_step_begin()
            logits = self.forward(input_ids=tokens, use_cache=True, **{self.cache_name: cache}).logits
            tokens = logits[:, -1].argmax(-1, keepdim=True)
            tokens.cpu()
            if step >= 3:
                took.append(time.perf_counter() - start)
        return took

    def prefill(self, n):
        prompt = torch.full((1, n), 2, dtype=torch.long, device=self.o.device)
        took = []
        for _ in range(1 + self.o.prefills):
            start = time.perf_counter()
            self.model(input_ids=prompt, use_cache=True, logits_to_keep=1).logits[:, -1].argmax(-1).cpu()
            took.append(time.perf_counter() - start)
        return took[1:]

    def run(self, case, batch, position, tokens, work):
        try:
            took = work()
        except torch.OutOfMemoryError as e:
            took = "not enough memory: " + str(e).splitlines()[0]
        self.report(case, batch, position, tokens, took)
        torch._dynamo.reset()
        if self.o.device == "cuda":
            torch.cuda.empty_cache()


def main():
    o = options()
    with torch.inference_mode():
        peer = Peer(o)
        for position in o.positions:
            for batch in o.batch:
                peer.run("decode", batch, position, batch, lambda: peer.decode(batch, position))
        for n in o.prefill:
            peer.run("prefill", 1, 0, n, lambda: peer.prefill(n))


if __name__ == "__main__":
    main()
