#!/usr/bin/env python3
"""Drive a running astro server with the official openai package for Python.

usage: e2e_openai.py http://127.0.0.1:8080 ["user message"]

It prints one line per check and exits 1 at the first that fails. ASTRO_API_KEY holds the key if the server needs one.
"""

import os
import sys

import openai


def text_of(stream):
    """The text and the finish reason of each choice of a streamed chat."""
    texts, reasons = {}, {}
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    return texts, reasons


class Suite:
    def __init__(self, url, message):
        self.client = openai.OpenAI(base_url=url + "/v1", api_key=os.environ.get("ASTRO_API_KEY", "any"), max_retries=0)
        self.model = self.client.models.list().data[0].id
        self.message = message

    def chat(self, **more):
        request = dict(model=self.model, messages=[{"role": "user", "content": self.message}], seed=7, max_completion_tokens=24)
        return self.client.chat.completions.create(**{**request, **more})

    def models(self):
        assert self.client.models.retrieve(self.model).id == self.model

    def answers(self):
        answer = self.chat()
        assert answer.id.startswith("chatcmpl-") and answer.choices[0].message.role == "assistant"
        assert answer.choices[0].finish_reason in ("stop", "length")
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def seeds(self):
        first = self.chat().choices[0].message.content
        assert self.chat().choices[0].message.content == first
        assert any(self.chat(seed=100 + i).choices[0].message.content != first for i in range(20))

    def streams(self):
        whole = {c.index: c.message.content for c in self.chat(n=4).choices}
        texts, reasons = text_of(self.chat(n=4, stream=True))
        assert texts == whole and len(whole) == 4 and None not in reasons.values(), (texts, whole)

    def usage(self):
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == self.chat().usage.completion_tokens
        assert all(chunk.usage is None for chunk in chunks[:-1])

    def logprobs(self):
        answer = self.chat(logprobs=True, top_logprobs=3)
        entries = answer.choices[0].logprobs.content
        assert len(entries) == answer.usage.completion_tokens
        assert all(e.logprob <= 0 and len(e.top_logprobs) == 3 for e in entries)

    def stops(self):
        full = self.chat().choices[0].message.content
        stop = full[len(full) // 2:][:2]
        answer = self.chat(stop=stop).choices[0]
        assert answer.message.content == full.split(stop)[0] and answer.finish_reason == "stop"

    def completions(self):
        request = dict(model=self.model, seed=3, max_tokens=6, extra_body={"return_token_ids": True})
        by_text = self.client.completions.create(prompt=self.message, **request).choices[0]
        ids = by_text.prompt_token_ids
        by_ids = self.client.completions.create(prompt=[ids, ids], **request).choices
        assert [c.text for c in by_ids] == [by_text.text] * 2
        scored = self.client.completions.create(model=self.model, prompt=ids, seed=3, max_tokens=1, echo=True, logprobs=1, temperature=0)
        lists = scored.choices[0].logprobs
        assert lists.token_logprobs[0] is None and all(p <= 0 for p in lists.token_logprobs[1:]) and len(lists.tokens) == len(ids) + 1

    def errors(self):
        for more, kind, code in (
            (dict(model="nope"), openai.NotFoundError, "model_not_found"),
            (dict(temperature=3), openai.BadRequestError, "decimal_above_max_value"),
            (dict(max_completion_tokens=1 << 23), openai.BadRequestError, "context_length_exceeded"),
            (dict(messages=[]), openai.BadRequestError, "empty_array"),
        ):
            try:
                self.chat(**more)
            except kind as error:
                assert error.code == code, error
            else:
                raise AssertionError(f"{more} was accepted")

    def cancel(self):
        for _ in range(4):
            stream = self.chat(n=8, stream=True)
            next(iter(stream))
            stream.close()
        self.answers()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    suite = Suite(sys.argv[1].rstrip("/"), sys.argv[2] if len(sys.argv) == 3 else "3 7 2 9 -> 27")
    for check in ("models", "answers", "seeds", "streams", "usage", "logprobs", "stops", "completions", "errors", "cancel"):
        getattr(suite, check)()
        print("ok", check, flush=True)


if __name__ == "__main__":
    main()
