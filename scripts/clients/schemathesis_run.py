#!/usr/bin/env python3
"""Let schemathesis try our server by the OpenAPI document that it serves: examples, coverage and fuzzing, all checks.

usage: schemathesis_run.py [--backend NAME] [--seconds N] [--seed N]      (default: auto, 120 s of fuzzing, 1)
needs: bin/astro (`make build`), python3 with venv, the package registries

The server has the random model over bytes, a key file with one key for every scope, and a new store, and learns from jobs alone: of these
there are none, since files and rewards of noise teach nothing. Exits with schemathesis' own status: 0 where no check failed.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys

from servers import CACHE, HERE, Server, byte_model, new_key, python_environment, say

GRACE_SECONDS = 900  # for what is not fuzzing


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped too
    folder = python_environment("schemathesis")
    if folder is None:
        sys.exit("astro: schemathesis is not installable here")
    keys, key = new_key("schemathesis")
    model, store = byte_model(), CACHE / "schemathesis.store"
    shutil.rmtree(store, ignore_errors=True)
    with Server("schemathesis", keys, str(model), "--backend", options.backend, "--store", str(store), "--learn", "jobs") as server:
        env = {**os.environ, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "ASTRO_MODEL": server.name, "ASTRO_URL": server.url, "ASTRO_KEY": key,
               "ASTRO_VOCAB": str(json.loads((model / "config.json").read_text())["vocab_size"])}
        command = [str(folder / "bin" / "st"), "--config-file", str(HERE / "schemathesis.toml"), "run", server.url + "/openapi.json",
                   "-H", f"Authorization: Bearer {key}", "--workers", "1", "--request-timeout", "120", "--seed", str(options.seed),
                   "--continue-on-failure", "--no-color"]
        code = 0
        for phases in (["--phases", "examples,coverage"],  # each operation, whatever time it takes
                       ["--phases", "fuzzing", "--max-examples", "100", "--max-time", str(options.seconds)]):
            try:
                code |= subprocess.run(command + phases, env=env, cwd=folder, timeout=options.seconds + GRACE_SECONDS).returncode
            except subprocess.TimeoutExpired:
                say(f"schemathesis did not end within {options.seconds + GRACE_SECONDS} s")
                code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
