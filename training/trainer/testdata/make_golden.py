"""Three training steps of a tiny Llama in PyTorch: the figures that TestGolden wants.

    python make_golden.py      (torch, transformers, safetensors; writes golden/ beside this file)

Documents are not packed here: each is its own forward pass, so that the test also shows that packing changes nothing.
"""
import json
import math
import pathlib

import torch
from transformers import LlamaConfig, LlamaForCausalLM

here = pathlib.Path(__file__).parent / "golden"
torch.manual_seed(0)
config = LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, head_dim=4, max_position_embeddings=32, rms_norm_eps=1e-5,
                     tie_word_embeddings=True, initializer_range=0.2, bos_token_id=1, eos_token_id=2)
model = LlamaForCausalLM(config).float()
for name, p in model.named_parameters():
    if "norm" in name:
        torch.nn.init.uniform_(p, 0.5, 1.5)
model.save_pretrained(here / "before")

peak, final, warmup, steps, decay, clip = 1e-2, 0.1, 2, 4, 0.1, 0.5
documents = [([1, 5, 9, 30, 7, 2], 3), ([1, 8, 8, 11, 12, 13, 39, 2], 1), ([1, 20, 21, 2], 2), ([3, 4, 5, 6, 7, 8, 9, 10, 11], 1)]


def lr(step):
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1, (step - warmup) / (steps - warmup))
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done)))


norms = [p for n, p in model.named_parameters() if "norm" in n]
matrices = [p for n, p in model.named_parameters() if "norm" not in n]
optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": decay}, {"params": norms, "weight_decay": 0.0}],
                              lr=peak, betas=(0.9, 0.95), eps=1e-8)


def logprobs(tokens):
    x = torch.tensor([tokens])
    return torch.log_softmax(model(input_ids=x[:, :-1]).logits[0], -1).gather(1, x[0, 1:, None])[:, 0]


first = [logprobs(tokens).tolist() for tokens, _ in documents]
record = []
for step in range(3):
    for group in optimizer.param_groups:
        group["lr"] = lr(step)
    terms = [-logprobs(tokens)[prompt - 1:] for tokens, prompt in documents]
    loss = torch.cat(terms).mean()
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    record.append({"loss": loss.item(), "grad_norm": norm.item(), "lr": lr(step)})
model.save_pretrained(here / "after")
(here / "golden.json").write_text(json.dumps({
    "documents": [{"tokens": t, "prompt": p} for t, p in documents], "logprobs": first, "steps": record,
    "config": {"PeakLR": peak, "FinalLR": final, "WarmupSteps": warmup, "Steps": steps, "Beta1": 0.9, "Beta2": 0.95,
               "Eps": 1e-8, "WeightDecay": decay, "ClipNorm": clip}}, indent=1))
