"""Loads folders with transformers and compares their greedy tokens with golden.json files; fails where they differ.

usage: check_folder.py FOLDER GOLDEN_JSON [FOLDER GOLDEN_JSON ...]
"""
import json
import sys

import torch
import transformers


def check(folder, path):
    golden = json.load(open(path))
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for kind, names in info.items():
        if names:
            sys.exit(f"{folder}: {kind}: {names}")
    prompt, greedy = golden["prompt"], golden["greedy"]
    with torch.no_grad():
        best = model(torch.tensor([prompt + greedy])).logits[0].argmax(-1).tolist()
    if best[len(prompt) - 1:-1] != greedy:
        sys.exit(f"{folder}: greedy tokens differ")


transformers.utils.logging.disable_progress_bar()
for folder, path in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    check(folder, path)
