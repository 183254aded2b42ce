"""openai for Python: chat, streams, text completions, errors, structured output, tools, responses."""

import asyncio
import json
from typing import Literal

import openai
import pydantic
from checks import API_KEY, BYTES, BYTES_URL, DEMO, DEMO_URL, SUM, TALK, TOOL, in_weather, later, main, raises

demo = openai.OpenAI(base_url=DEMO_URL + "/v1", api_key=API_KEY, max_retries=0)
texts = openai.OpenAI(base_url=BYTES_URL + "/v1", api_key=API_KEY, max_retries=0)


def chat(**more):
    return demo.chat.completions.create(**{**dict(model=DEMO, messages=SUM, seed=7, max_completion_tokens=24), **more})


def talk(**more):
    return texts.chat.completions.create(**{**dict(model=BYTES, messages=TALK, seed=7, max_completion_tokens=24), **more})


class Town(pydantic.BaseModel):
    name: Literal["Paris", "Łódź"]
    large: bool


class Trip(pydantic.BaseModel):
    kind: Literal["bus", "train"]
    stops: list[Town] = pydantic.Field(min_length=1, max_length=2)


def check_models():
    for client, name in ((demo, DEMO), (texts, BYTES)):
        assert name in [m.id for m in client.models.list()] and client.models.retrieve(name).object == "model"


def check_chat():
    for answer in (chat(), talk()):
        choice = answer.choices[0]
        assert answer.id.startswith("chatcmpl-") and choice.message.role == "assistant" and choice.finish_reason in ("stop", "length")
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def check_strict_types():
    """The client does not validate by itself; pydantic does, against the client's own models."""
    for answer in (chat(logprobs=True, top_logprobs=2, n=2), talk()):
        type(answer).model_validate(answer.model_dump(), strict=True)
    for chunk in chat(stream=True, stream_options={"include_usage": True}, logprobs=True):
        type(chunk).model_validate(chunk.model_dump(), strict=True)


def check_stream_equals_whole():
    whole = {c.index: (c.message.content, c.finish_reason) for c in chat(n=4).choices}
    parts, ends = dict.fromkeys(whole, ""), {}
    for chunk in chat(n=4, stream=True):
        for c in chunk.choices:
            parts[c.index] += c.delta.content or ""
            ends[c.index] = c.finish_reason or ends.get(c.index)
    assert {i: (parts[i], ends[i]) for i in parts} == whole and len(whole) == 4


def check_stream_helper():
    full = chat().choices[0].message.content
    stop = full[len(full) // 2 :][:2]  # the helper raises where the length cut an answer
    with demo.chat.completions.stream(model=DEMO, messages=SUM, seed=7, max_completion_tokens=24, stop=stop) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds and final.choices[0].message.content == full.split(stop)[0]


def check_usage_in_stream():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage == chat().usage.model_copy(update={"prompt_tokens_details": chunks[-1].usage.prompt_tokens_details})
    assert all(chunk.usage is None for chunk in chunks[:-1])


def check_logprobs():
    answer = talk(logprobs=True, top_logprobs=3)
    entries = answer.choices[0].logprobs.content
    assert len(entries) == answer.usage.completion_tokens and all(e.logprob <= 0 and len(e.top_logprobs) == 3 for e in entries)
    assert bytes(b for e in entries for b in e.bytes).decode("utf-8", "replace").startswith(answer.choices[0].message.content[:1])


def check_seed():
    first = talk().choices[0].message.content
    assert talk().choices[0].message.content == first and talk(seed=8).choices[0].message.content != first


def check_stop():
    full = chat().choices[0].message.content
    stop = full[len(full) // 2 :][:2]
    cut = chat(stop=[stop, "never said"]).choices[0]
    assert cut.message.content == full.split(stop)[0] and cut.finish_reason == "stop"


def check_completions():
    request = dict(model=DEMO, seed=3, max_tokens=6, extra_body={"return_token_ids": True})
    by_text = demo.completions.create(prompt="3 7 2 9 -> 27", **request).choices[0]
    ids = by_text.prompt_token_ids
    assert [c.text for c in demo.completions.create(prompt=[ids, ids], **request).choices] == [by_text.text] * 2
    scored = demo.completions.create(model=DEMO, prompt=ids, max_tokens=1, echo=True, logprobs=1, temperature=0).choices[0].logprobs
    assert scored.token_logprobs[0] is None and all(p <= 0 for p in scored.token_logprobs[1:]) and len(scored.tokens) == len(ids) + 1
    streamed = demo.completions.create(prompt="3 7 2 9 -> 27", stream=True, **request)
    assert "".join(c.text for chunk in streamed for c in chunk.choices) == by_text.text


def check_errors():
    for more, kind, code in (
        (dict(model="nope"), openai.NotFoundError, "model_not_found"),
        (dict(temperature=3), openai.BadRequestError, "decimal_above_max_value"),
        (dict(max_completion_tokens=1 << 22), openai.BadRequestError, "context_length_exceeded"),
        (dict(messages=[]), openai.BadRequestError, "empty_array"),
        (dict(stream=True, n=0), openai.BadRequestError, "integer_below_min_value"),
    ):
        error = raises(kind, lambda more=more: chat(**more))
        assert error.code == code and error.type == "invalid_request_error", error
    stranger = demo.with_options(api_key="wrong")
    assert raises(openai.AuthenticationError, lambda: stranger.models.list()).code == "invalid_api_key"


def check_headers():
    raw = demo.chat.completions.with_raw_response.create(model=DEMO, messages=SUM, max_completion_tokens=2, extra_headers={"x-request-id": "mine"})
    assert raw.headers["x-request-id"] == "mine" and raw.parse()._request_id == "mine"


def check_cancel():
    for _ in range(4):
        stream = talk(n=8, stream=True, max_completion_tokens=500)
        next(iter(stream))
        stream.close()
    check_chat()


def check_async():
    async def crowd():
        async with openai.AsyncOpenAI(base_url=DEMO_URL + "/v1", api_key=API_KEY, max_retries=0) as client:
            return await asyncio.gather(*[client.chat.completions.create(model=DEMO, messages=SUM, seed=7, max_tokens=24) for _ in range(12)])

    assert {answer.choices[0].message.content for answer in asyncio.run(crowd())} == {chat().choices[0].message.content}


@later("response_format")
def check_parse():
    for seed in range(3):
        answer = texts.chat.completions.parse(model=BYTES, messages=TALK, seed=seed, max_completion_tokens=400, response_format=Trip)
        assert isinstance(answer.choices[0].message.parsed, Trip)


@later("response_format")
def check_json_object():
    answer = talk(response_format={"type": "json_object"}, max_completion_tokens=1200).choices[0]
    assert answer.message.content.lstrip().startswith("{")
    if answer.finish_reason == "stop":
        assert isinstance(json.loads(answer.message.content), dict)


@later("response_format")
def check_json_schema_stream():
    schema = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": TOOL["function"]["parameters"]}}
    chunks = talk(response_format=schema, stream=True, max_completion_tokens=200)
    in_weather(json.loads("".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)))


@later("tool")
def check_tool_required():
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        answer = talk(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False, max_completion_tokens=400).choices[0]
        (call,) = answer.message.tool_calls
        assert call.type == "function" and call.id and call.function.name == "weather"
        in_weather(json.loads(call.function.arguments))


@later("tool")
def check_tool_stream():
    request = dict(tools=[TOOL], tool_choice="required", parallel_tool_calls=False, max_completion_tokens=400)
    with texts.chat.completions.stream(model=BYTES, messages=TALK, seed=7, **request) as stream:
        kinds = {event.type for event in stream}
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert "tool_calls.function.arguments.delta" in kinds
    in_weather(json.loads(call.function.arguments))


@later("tool")
def check_tool_turn():
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris", "metric": true}'}}
    more = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"}]
    assert talk(messages=TALK + more, tools=[TOOL]).choices[0].finish_reason in ("stop", "length", "tool_calls")


@later("tool")
def check_tool_none():
    answer = talk(tools=[TOOL], tool_choice="none").choices[0]
    assert answer.message.tool_calls is None and answer.message.content


@later("/v1/embeddings")
def check_embeddings():
    answer = texts.embeddings.create(model=BYTES, input=["one", "two words"])
    assert [e.index for e in answer.data] == [0, 1] and len(answer.data[0].embedding) == len(answer.data[1].embedding) > 0


@later("/v1/responses")
def check_responses():
    answer = texts.responses.create(model=BYTES, input="Say something.", instructions="Be brief.", max_output_tokens=24)
    assert answer.object == "response" and answer.status in ("completed", "incomplete") and answer.output[0].type == "message"
    assert answer.usage.output_tokens > 0 and isinstance(answer.output_text, str)


@later("/v1/responses")
def check_responses_stream():
    with texts.responses.stream(model=BYTES, input="Say something.", max_output_tokens=24) as stream:
        events = list(stream)
    final = events[-1].response  # the client's get_final_response knows completed ones only, and this model may end at the limit
    assert events[-1].type == f"response.{final.status}" and final.status in ("completed", "incomplete"), events[-1]
    deltas = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert events[0].type == "response.created" and deltas == final.output_text


if __name__ == "__main__":
    main(globals())
