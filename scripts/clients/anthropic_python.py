"""anthropic for Python, over /v1/messages: answers, streams, errors, tools, counting."""

import anthropic
from checks import API_KEY, BYTES, BYTES_URL, WEATHER, in_weather, later, main, raises

client = anthropic.Anthropic(base_url=BYTES_URL, api_key=API_KEY, max_retries=0)
REQUEST = dict(model=BYTES, max_tokens=24, system="Answer briefly.", messages=[{"role": "user", "content": "Grüße!"}])
TOOL = {"name": "weather", "description": "The weather now", "input_schema": WEATHER}


@later("/v1/messages")
def check_message():
    answer = client.messages.create(**REQUEST)
    assert answer.type == "message" and answer.role == "assistant" and answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.content[0].type == "text" and answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


@later("/v1/messages")
def check_blocks():
    parts = [{"type": "text", "text": "Good "}, {"type": "text", "text": "day"}]
    assert client.messages.create(**{**REQUEST, "messages": [{"role": "user", "content": parts}]}).content[0].type == "text"


@later("/v1/messages")
def check_stream():
    with client.messages.stream(**REQUEST) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text and final.stop_reason in ("end_turn", "max_tokens") and final.usage.output_tokens > 0


@later("/v1/messages")
def check_errors():
    client.messages.create(**REQUEST)  # where the route is missing, it is this that fails
    assert raises(anthropic.NotFoundError, lambda: client.messages.create(**{**REQUEST, "model": "nope"})).body["type"] == "error"
    error = raises(anthropic.BadRequestError, lambda: client.messages.create(**{**REQUEST, "messages": []}))
    assert error.body["error"]["type"] == "invalid_request_error", error.body
    raises(anthropic.AuthenticationError, lambda: client.with_options(api_key="wrong").messages.create(**REQUEST))


@later("/v1/messages")
def check_tools():
    answer = client.messages.create(**{**REQUEST, "max_tokens": 400}, tools=[TOOL], tool_choice={"type": "tool", "name": "weather"})
    (call,) = [block for block in answer.content if block.type == "tool_use"]
    in_weather(call.input)
    assert answer.stop_reason == "tool_use"


@later("/v1/messages/count_tokens")
def check_count():
    count = client.messages.count_tokens(model=BYTES, system=REQUEST["system"], messages=REQUEST["messages"])
    usage = client.messages.create(**REQUEST).usage
    assert count.input_tokens == usage.input_tokens + usage.cache_read_input_tokens, (count, usage)


if __name__ == "__main__":
    main(globals())
