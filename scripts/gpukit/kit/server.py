"""Starts astro serve for the scripts beside it; standard library only."""
import contextlib
import json
import re
import subprocess
import sys
import threading
import urllib.request


@contextlib.contextmanager
def serve(astro, model, backend, *flags):
    """The URL of a server of model, which ends with the block. What it says goes to our standard output."""
    server = subprocess.Popen([astro, "serve", model, "--port", "0", "--backend", backend, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found, said = threading.Event(), []

    def read():
        for line in server.stdout:
            sys.stdout.write(line)
            where = re.search(r"^listening on (http\S+)", line)
            if where:
                said.append(where.group(1))
                found.set()
        found.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        found.wait(600)
        if not said:
            raise SystemExit("the server did not say that it listens")
        yield said[0]
    finally:
        server.terminate()
        server.wait(60)


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)
