#!/usr/bin/env python3
"""Let schemathesis try our server by the OpenAPI document that it serves: examples, coverage and fuzzing, all checks.

usage: schemathesis_run.py [--backend NAME] [--seconds N] [--seed N]      (default: auto, 180, 1)
needs: bin/astro (`make build`), python3 with venv, the package registries

The server has the demo model and a key file with one key for every scope. Exits with schemathesis' own status: 0 where no check failed.
"""

import argparse
import json
import os
import subprocess
import sys

from servers import CACHE, HERE, ROOT, Server, binary, python_environment, say

GRACE_SECONDS = 240  # for loading and for reporting, beyond the time of the phases


def new_key():
    """A key file with one key for all scopes, and that key."""
    CACHE.mkdir(parents=True, exist_ok=True)
    keys = CACHE / "schemathesis.keys.json"
    keys.unlink(missing_ok=True)
    command = [binary(), "keys", "create", "--keys", str(keys), "--scope", "inference,feedback,admin"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    words = [word for word in done.stdout.split() if word.startswith("sk-")]
    if len(words) != 1:
        sys.exit("astro: `astro keys create` printed no key that begins with sk-")
    return keys, words[0]


def vocabulary():
    with open(ROOT / "models" / "countdown-base" / "config.json", encoding="utf-8") as f:
        return json.load(f)["vocab_size"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = python_environment("schemathesis")
    if folder is None:
        sys.exit("astro: schemathesis is not installable here")
    keys, key = new_key()
    with Server("schemathesis", "--backend", options.backend, "--keys", str(keys)) as server:
        command = [str(folder / "bin" / "st"), "--config-file", str(HERE / "schemathesis.toml"), "run", server.url + "/openapi.json",
                   "-H", f"Authorization: Bearer {key}", "--phases", "examples,coverage,fuzzing", "--max-examples", "100",
                   "--max-time", str(options.seconds), "--request-timeout", "60", "--seed", str(options.seed), "--continue-on-failure", "--no-color"]
        env = {**os.environ, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "ASTRO_MODEL": "countdown-base",
               "ASTRO_VOCAB": str(vocabulary())}
        try:
            code = subprocess.run(command, env=env, cwd=folder, timeout=options.seconds + GRACE_SECONDS).returncode
        except subprocess.TimeoutExpired:
            say(f"schemathesis did not end within {options.seconds + GRACE_SECONDS} s")
            code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
