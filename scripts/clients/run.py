#!/usr/bin/env python3
"""Drive our server with unchanged clients, each in an environment of its own, and print a table.

usage: run.py [--backend NAME] [CLIENT...]        (default: the backend auto, all clients)
needs: bin/astro (`make build`), python3 with venv, the package registries; npm for ai-sdk, go for openai-go

Two servers are started, each with an API key: one with the demo model, one with a random model over bytes. A client is a script of
this folder that prints a line for each check (checks.py); its packages, pinned, stand in requirements-CLIENT.txt. One whose packages
do not install here is listed as such, which is no pass. Exits 1 where a check failed.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys

from servers import CACHE, HERE, ROOT, Server, byte_model, demo_model, environment, new_key, python_environment, run_logged, say

CLIENT_SECONDS = 900  # for all checks of one client

SCRIPTS = {  # name: script; the first line of its requirements is the client's own
    "openai-python": "openai_python.py",
    "langchain-openai": "langchain_client.py",
    "litellm": "litellm_client.py",
    "instructor": "instructor_client.py",
    "anthropic": "anthropic_python.py",
    "lm-eval": "lm_eval_client.py",
    "locust": "locust_client.py",
}


class Outcome:
    """What a client's lines say."""

    def __init__(self, name, version="", note=""):
        self.name, self.version, self.note = name, version, note
        self.lines = []

    def read(self, text):
        self.lines = re.findall(r"^(ok|skip|FAIL) (.*)$", text, re.M)
        return self

    def count(self, kind):
        return sum(k == kind for k, _ in self.lines)

    def failed(self):
        return self.note == "failed" or self.count("FAIL") > 0


def call(command, name, env, **more):
    """Runs a client's checks. A script that ends badly without a FAIL line, or without any line, has failed."""
    log = CACHE / f"{name}.log"
    try:
        with open(log, "wb") as errors:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, timeout=CLIENT_SECONDS, env=env, **more)
        text, code = done.stdout.decode("utf-8", "replace"), done.returncode
    except subprocess.TimeoutExpired as error:
        text, code = (error.stdout or b"").decode("utf-8", "replace"), f"nothing within {CLIENT_SECONDS} s"
    print("".join(f"  {name}: {line}\n" for line in text.splitlines()), end="", flush=True)
    outcome = Outcome(name).read(text)
    if not outcome.lines or code != 0 and not outcome.count("FAIL"):
        outcome.note = "failed"
        say(f"{name} ended with {code}; see {log.relative_to(ROOT)}")
    return outcome


def python_client(name, env):
    wanted = (HERE / f"requirements-{name}.txt").read_text().split()[0]
    folder = python_environment(name)
    if folder is None:
        return Outcome(name, wanted.split("==")[1], "not installable here")
    outcome = call([str(folder / "bin" / "python"), str(HERE / SCRIPTS[name])], name, {**env, "PYTHONPATH": str(HERE), "CLIENT_HOME": str(folder)})
    outcome.version = wanted.split("==")[1]
    return outcome


def ai_sdk(env):
    """The AI SDK: npm installs by the lock file, without scripts of packages."""
    files = [HERE / "ai-sdk" / name for name in ("package.json", "package-lock.json")]
    version = re.search(r'"ai": "(.*)"', files[0].read_text())[1]

    def install(folder, log):
        folder.mkdir(parents=True, exist_ok=True)
        for f in files:
            shutil.copy(f, folder)
        return run_logged(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], log, cwd=folder)

    folder = environment("ai-sdk", files, install) if shutil.which("npm") else None
    if folder is None:
        return Outcome("ai-sdk", version, "not installable here")
    shutil.copy(HERE / "ai-sdk" / "client.mjs", folder)
    outcome = call(["node", "client.mjs"], "ai-sdk", env, cwd=folder)
    outcome.version = version
    return outcome


def openai_go(env):
    """openai-go is a dependency of our tests: the suite server/servertest, against the program."""
    version = re.search(r"openai/openai-go/v3 v(\S+)", (ROOT / "go.mod").read_text())[1]
    if not shutil.which("go"):
        return Outcome("openai-go", version, "not installable here")
    tests = "go test -count=1 -tags invariants -v -run TestServeOfficialClients ./cmd/astro/ | tee /dev/stderr"
    lines = r"sed -nE 's/^ +--- (PASS|FAIL|SKIP): [^/]*\/(\S+) .*/\1 \2/p' | grep -v python | sed -E 's/^PASS/ok/; s/^SKIP/skip/'"
    outcome = call(["bash", "-o", "pipefail", "-c", f"{tests} | {lines}"], "openai-go", env, cwd=ROOT)
    outcome.version = version
    return outcome


def table(outcomes):
    rows = [("client", "version", "passed", "skipped", "failed", "")]
    for o in outcomes:
        counts = ("-", "-", "-") if o.note == "not installable here" else tuple(str(o.count(kind)) for kind in ("ok", "skip", "FAIL"))
        rows.append((o.name, o.version, *counts, o.note))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def main():
    clients = {**{name: lambda env, name=name: python_client(name, env) for name in SCRIPTS}, "ai-sdk": ai_sdk, "openai-go": openai_go}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("client", nargs="*", help="some of " + " ".join(clients))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped too
    if unknown := set(options.client) - set(clients):
        parser.error(f"no client is called {', '.join(sorted(unknown))}; there are {' '.join(clients)}")
    model, (keys, key), backend = byte_model(), new_key("clients"), ("--backend", options.backend)
    with Server("demo", keys, str(demo_model()), *backend) as demo, Server("bytes", keys, str(model), *backend) as texts:
        env = {**os.environ, "ASTRO_API_KEY": key, "ASTRO_URL": demo.url, "ASTRO_MODEL": "demo", "ASTRO_BYTES_URL": texts.url, "ASTRO_BYTES_MODEL": "bytes"}
        outcomes = [clients[name](env) for name in options.client or clients]
    print(table(outcomes))
    sys.exit(any(o.failed() for o in outcomes))


if __name__ == "__main__":
    main()
