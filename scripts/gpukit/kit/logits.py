"""logits.py ASTRO BACKEND FOLDER: log-probabilities of a small Llama with random weights, in bf16, by the engine and by transformers.

The same weights run in both on the same kind of device. Both round activations to bf16 at other places, so no two implementations agree
to the last bit: a log-probability may be 0.15 from transformers' at most and 0.02 in the mean, over prompts of some hundred tokens. For
scale: transformers' own f32 run is printed beside; on a CPU it was 0.03 and 0.007 from its bf16 run, and the engine 0.04 and 0.008."""
import sys

try:
    import torch
    import transformers
except ImportError as missing:
    print(f"this Python has no {missing.name}")
    sys.exit(77)

import json
import os

from server import post, serve

LARGEST, MEAN = 0.15, 0.02
astro, backend, folder = sys.argv[1:]
where = "cuda" if backend == "xla:cuda" else "cpu"
if where == "cuda" and not torch.cuda.is_available():
    raise SystemExit("torch sees no GPU")

torch.manual_seed(7)
here = os.path.dirname(os.path.abspath(__file__))
tokenizer = os.path.join(here, "models", "astro-countdown")
vocab = json.load(open(os.path.join(tokenizer, "config.json")))["vocab_size"]
config = transformers.LlamaConfig(vocab_size=vocab, hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2,
                                  max_position_embeddings=512, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1, initializer_range=0.05)
model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
os.makedirs(folder, exist_ok=True)
model.save_pretrained(folder)
for name in os.listdir(tokenizer):
    if name.startswith("token") or name == "special_tokens_map.json":
        with open(os.path.join(tokenizer, name)) as source, open(os.path.join(folder, name), "w") as copy:
            copy.write(source.read())


def reference(ids, dtype):
    """Log-probabilities of each token but the first, given those before it."""
    torch.backends.cuda.matmul.allow_tf32 = False
    with torch.no_grad():
        logits = model.to(where, dtype)(torch.tensor([ids], device=where)).logits[0, :-1].float()
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:], device=where)[:, None])[:, 0].cpu()


prompts = [torch.randint(2, vocab, (length,)).tolist() for length in (5, 17, 64, 200, 333)]
with serve(astro, folder, backend, "--dtype", "bf16", "--weights", "graph", "--gpu-memory-utilization", "0.3", "--served-model-name", "random") as url:
    ours = []
    for ids in prompts:
        answer = post(url + "/v1/completions", {"model": "random", "prompt": ids, "max_tokens": 1, "echo": True, "logprobs": 0, "temperature": 0})
        ours.append(torch.tensor(answer["choices"][0]["logprobs"]["token_logprobs"][1:len(ids)]))
differences = torch.cat([(o - reference(ids, torch.bfloat16)).abs() for o, ids in zip(ours, prompts)])
scale = torch.cat([(reference(ids, torch.float32) - reference(ids, torch.bfloat16)).abs() for ids in prompts])
print(f"largest difference of {len(differences)} log-probabilities from transformers in bf16: {differences.max():.4f} (want {LARGEST}); transformers' f32 from its bf16: {scale.max():.4f}")
print(f"mean difference: {differences.mean():.5f} (want {MEAN}); transformers' f32 from its bf16: {scale.mean():.5f}")
if not torch.isfinite(differences).all() or differences.max() > LARGEST or differences.mean() > MEAN:
    raise SystemExit("the engine's log-probabilities are not transformers'")
