"""locust, a load tool: 32 users for 20 seconds; no request may fail, and afterwards nothing is left in the server."""

import csv
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

from checks import API_KEY, DEMO_URL, main

USERS, SECONDS = 32, 20
HOME, FILE = pathlib.Path(os.environ.get("CLIENT_HOME", ".")), pathlib.Path(__file__).resolve().parent / "locustfile.py"


def running():
    """Sequences in the engine, by /metrics; None where the key may not read them."""
    request = urllib.request.Request(DEMO_URL + "/metrics", headers={"Authorization": f"Bearer {API_KEY}"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(("vllm:num_requests_running{", "vllm:num_requests_waiting{")))


def check_load():
    prefix = HOME / "load"
    command = [sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary", "-u", str(USERS), "-r", str(USERS),
               "-t", f"{SECONDS}s", "-H", DEMO_URL, "--csv", str(prefix), "--exit-code-on-error", "1"]
    code = subprocess.run(command, stdout=sys.stderr, timeout=SECONDS + 120).returncode
    with open(f"{prefix}_stats.csv", newline="") as f:
        rows = {row["Name"]: row for row in csv.DictReader(f)}
    print({name: (row["Request Count"], row["Failure Count"], row["99%"]) for name, row in rows.items()}, file=sys.stderr)
    assert code == 0 and int(rows["Aggregated"]["Failure Count"]) == 0
    assert all(int(rows[name]["Request Count"]) > 0 for name in ("/v1/chat/completions", "stream", "/v1/completions", "refused")), rows


def check_idle_afterwards():
    for _ in range(100):
        if running() == 0:
            return
        time.sleep(0.3)
    raise AssertionError(f"{running()} sequences are left")


if __name__ == "__main__":
    main(globals())
