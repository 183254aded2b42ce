"""Users for locust: chats, streamed and not, text completions, and requests that must be refused. Run by locust_client.py."""

import json
import os

from locust import FastHttpUser, constant, task

MODEL, HEADERS = os.environ["ASTRO_MODEL"], {"Authorization": "Bearer " + os.environ["ASTRO_API_KEY"]}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "3 7 2 9 -> 27"}], "max_completion_tokens": 16}


class Client(FastHttpUser):
    wait_time = constant(0)

    @task(4)
    def chat(self):
        with self.client.post("/v1/chat/completions", json=CHAT, headers=HEADERS, catch_response=True) as reply:
            if reply.status_code != 200 or json.loads(reply.text)["choices"][0]["finish_reason"] not in ("stop", "length"):
                reply.failure(f"{reply.status_code} {reply.text[:200]}")

    @task(4)
    def stream(self):
        with self.client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=HEADERS, name="stream", catch_response=True) as reply:
            events = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
            if reply.status_code != 200 or events[-1] != "[DONE]" or "chat.completion.chunk" not in {json.loads(e)["object"] for e in events[:-1]}:
                reply.failure(f"{reply.status_code} {reply.text[:200]}")

    @task(2)
    def complete(self):
        body = {"model": MODEL, "prompt": "3 7 2 9 -> 27", "max_tokens": 8, "n": 2}
        with self.client.post("/v1/completions", json=body, headers=HEADERS, catch_response=True) as reply:
            if reply.status_code != 200 or len(json.loads(reply.text)["choices"]) != 2:
                reply.failure(f"{reply.status_code} {reply.text[:200]}")

    @task(1)
    def refused(self):
        with self.client.post("/v1/chat/completions", json={**CHAT, "temperature": 9}, headers=HEADERS, name="refused", catch_response=True) as reply:
            if reply.status_code == 400 and json.loads(reply.text)["error"]["param"] == "temperature":
                reply.success()
            else:
                reply.failure(f"{reply.status_code} {reply.text[:200]}")
