"""Shared by run.py and schemathesis_run.py: an environment for a client, and our server under test."""

import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".cache" / "clients"
START_SECONDS, STOP_SECONDS, INSTALL_SECONDS = 120, 60, 1200


def say(text):
    print("astro: " + text, file=sys.stderr, flush=True)


def run_logged(command, log, **more):
    """Runs a command with its output in a file; says whether it succeeded within the time for installing."""
    with open(log, "ab") as out:
        try:
            return subprocess.run(command, stdout=out, stderr=out, timeout=INSTALL_SECONDS, **more).returncode == 0
        except (OSError, subprocess.TimeoutExpired) as error:
            out.write(f"{error}\n".encode())
            return False


def environment(name, files, install):
    """The folder .cache/clients/NAME, installed anew when one of files has changed; None where that fails."""
    folder, log = CACHE / name, CACHE / f"{name}.install.log"
    key, mark = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest(), folder / "installed"
    if mark.exists() and mark.read_text() == key:
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    mark.unlink(missing_ok=True)
    say(f"installing {name}; log: {log.relative_to(ROOT)}")
    if not install(folder, log):
        return None
    mark.write_text(key)
    return folder


def python_environment(name):
    """A virtual environment with requirements-NAME.txt; None where that does not install."""
    wanted = HERE / f"requirements-{name}.txt"

    def install(folder, log):
        python = str(folder / "bin" / "python")
        return (run_logged([sys.executable, "-m", "venv", "--clear", str(folder)], log)
                and run_logged([python, "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", str(wanted)], log))

    return environment(name, [wanted], install)


def binary():
    """bin/astro, or the program that ASTRO_BINARY names."""
    path = pathlib.Path(os.environ.get("ASTRO_BINARY", ROOT / "bin" / "astro"))
    if not path.exists():
        sys.exit(f"astro: {path} is missing: run `make build`, or name a program in ASTRO_BINARY")
    return str(path)


def new_key(name):
    """A key file with one key for all scopes, and that key; it is made anew."""
    CACHE.mkdir(parents=True, exist_ok=True)
    keys = CACHE / f"{name}.keys.json"
    keys.unlink(missing_ok=True)
    command = [binary(), "keys", "create", "--keys", str(keys), "--scope", "inference,feedback,admin"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    words = [word for word in done.stdout.split() if word.startswith("sk-")]
    if len(words) != 1:
        sys.exit("astro: `astro keys create` printed no key that begins with sk-")
    return keys, words[0]


class Server:
    """One astro on a free port of loopback, from __enter__ to __exit__; name is also its model's."""

    def __init__(self, name, keys, *args):
        self.name = name
        self.command = [binary(), "serve", *args, "--served-model-name", name, "--keys", str(keys), "--host", "127.0.0.1", "--port", "0"]
        self.log = CACHE / f"{name}.server.log"

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=ROOT)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"^listening on (\S+)$", self.log.read_text(errors="replace"), re.M):
                self.url = found[1]
                return self
            time.sleep(0.1)
        self.process.kill()
        sys.exit(f"astro: the server {self.name} did not start within {START_SECONDS} s:\n" + self.log.read_text(errors="replace")[-2000:])

    def __exit__(self, *_):
        """Drains it. A server that died, or that fails to stop, fails the run."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = f"nothing within {STOP_SECONDS} s"
        if code != 0 or b"panic" in self.log.read_bytes():
            sys.exit(f"astro: the server {self.name} ended with {code}; its log is {self.log.relative_to(ROOT)}")


def demo_model():
    """The folder of the demo model of this project."""
    found = sorted(config.parent for config in (ROOT / "models").glob("*/config.json"))
    if not found:
        sys.exit("astro: there is no model in models/")
    return found[0]


def byte_model():
    """The folder of the random model over bytes, made if it is not there."""
    folder = CACHE / "byte-model"
    subprocess.run([sys.executable, str(HERE / "make_byte_model.py"), str(folder)], check=True)
    return folder
