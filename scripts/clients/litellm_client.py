"""litellm, with its openai provider: answers, streams, text completions, its classes of errors, structured output, tools."""

import asyncio
import json
import os

from checks import API_KEY, BYTES, BYTES_URL, DEMO, DEMO_URL, SUM, TALK, TOOL, WEATHER, in_weather, later, main, raises

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network for prices when it is imported
import litellm  # noqa: E402

litellm.telemetry = False
litellm.suppress_debug_info = True
AT_DEMO = dict(model="openai/" + DEMO, api_base=DEMO_URL + "/v1", api_key=API_KEY, seed=7, max_tokens=24, num_retries=0, max_retries=0)
AT_BYTES = dict(AT_DEMO, model="openai/" + BYTES, api_base=BYTES_URL + "/v1")


def chat(**more):
    return litellm.completion(**{**AT_DEMO, "messages": SUM, **more})


def talk(**more):
    return litellm.completion(**{**AT_BYTES, "messages": TALK, **more})


def check_completion():
    for answer in (chat(), talk()):
        assert answer.choices[0].message.content and answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def check_stream():
    chunks = list(talk(stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == talk().choices[0].message.content
    assert litellm.stream_chunk_builder(chunks).usage.completion_tokens == talk().usage.completion_tokens


def check_async():
    async def crowd():
        return await asyncio.gather(*[litellm.acompletion(**AT_DEMO, messages=SUM) for _ in range(6)])

    assert len({answer.choices[0].message.content for answer in asyncio.run(crowd())}) == 1


def check_parameters():
    answer = chat(n=2, stop=[" :"], temperature=0.5, top_p=0.9, logprobs=True, top_logprobs=2, presence_penalty=0.1, frequency_penalty=0.1)
    assert len(answer.choices) == 2 and answer.choices[0].logprobs.content[0].logprob <= 0


def check_text_completion():
    answer = litellm.text_completion(**{**AT_DEMO, "model": "text-completion-openai/" + DEMO, "max_tokens": 6}, prompt="3 7 2 9 -> 27")
    assert answer.choices[0].text and answer.usage.completion_tokens <= 6


def check_errors():
    raises(litellm.NotFoundError, lambda: chat(model="openai/nope"))
    raises(litellm.AuthenticationError, lambda: chat(api_key="wrong"))
    raises(litellm.BadRequestError, lambda: chat(temperature=9))
    raises(litellm.ContextWindowExceededError, lambda: chat(max_tokens=1 << 22))


@later("response_format")
def check_json_schema():
    schema = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": WEATHER}}
    in_weather(json.loads(talk(response_format=schema, max_tokens=400).choices[0].message.content))


@later("tool")
def check_tools():
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        (call,) = talk(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False, max_tokens=400).choices[0].message.tool_calls
        in_weather(json.loads(call.function.arguments))


@later("tool")
def check_tool_stream():
    chunks = list(talk(tools=[TOOL], tool_choice="required", parallel_tool_calls=False, max_tokens=400, stream=True))
    (call,) = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls
    in_weather(json.loads(call.function.arguments))


@later("/v1/responses")
def check_responses():
    answer = litellm.responses(model="openai/" + BYTES, input="Say something.", max_output_tokens=24, api_base=BYTES_URL + "/v1", api_key=API_KEY)
    assert answer.output


if __name__ == "__main__":
    main(globals())
