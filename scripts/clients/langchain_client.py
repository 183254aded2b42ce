"""langchain-openai: answers, streams, batches, structured output, tools, the Responses API."""

import asyncio
from typing import Literal

import openai
import pydantic
from checks import API_KEY, BYTES, BYTES_URL, DEMO, DEMO_URL, TOOL, in_weather, later, main, raises
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAI


def model(**more):
    return ChatOpenAI(**{**dict(model=BYTES, base_url=BYTES_URL + "/v1", api_key=API_KEY, max_retries=0, seed=7, max_tokens=24), **more})


TALK = [SystemMessage("Answer briefly."), HumanMessage("Grüße!")]


class Town(pydantic.BaseModel):
    """A town."""

    name: Literal["Paris", "Łódź"]
    large: bool


def check_invoke():
    answer = model().invoke(TALK)
    assert answer.content and answer.usage_metadata["output_tokens"] > 0 and answer.response_metadata["finish_reason"] in ("stop", "length")


def check_stream():
    chunks = list(model(stream_usage=True).stream(TALK))
    whole = sum(chunks[1:], chunks[0])
    assert whole.content == model().invoke(TALK).content and whole.usage_metadata["total_tokens"] > 0


def check_batch():
    assert len({answer.content for answer in model().batch([TALK] * 4)}) == 1


def check_async():
    async def texts():
        return "".join([chunk.content async for chunk in model().astream(TALK)])

    assert asyncio.run(texts()) == model().invoke(TALK).content


def check_logprobs():
    entries = model(logprobs=True, top_logprobs=2).invoke(TALK).response_metadata["logprobs"]["content"]
    assert entries and all(len(e["top_logprobs"]) == 2 for e in entries)


def check_n_and_stop():
    many = model(n=3, model=DEMO, base_url=DEMO_URL + "/v1", stop=[" :"]).generate([[HumanMessage("3 7 2 9 -> 27")]])
    assert len(many.generations[0]) == 3 and all(" :" not in g.text for g in many.generations[0])


def check_text_completion():
    llm = OpenAI(model=DEMO, base_url=DEMO_URL + "/v1", api_key=API_KEY, max_retries=0, seed=7, max_tokens=8)
    assert llm.invoke("3 7 2 9 -> 27") == "".join(llm.stream("3 7 2 9 -> 27"))


def check_errors():
    assert raises(openai.NotFoundError, lambda: model(model="nope").invoke(TALK)).code == "model_not_found"
    raises(openai.AuthenticationError, lambda: model(api_key="wrong").invoke(TALK))
    assert raises(openai.BadRequestError, lambda: model(temperature=9).invoke(TALK)).code == "decimal_above_max_value"


@later("response_format")
def check_json_schema():
    assert isinstance(model(max_tokens=400).with_structured_output(Town, method="json_schema").invoke(TALK), Town)


@later("tool")
def check_function_calling():
    assert isinstance(model(max_tokens=400).with_structured_output(Town, method="function_calling").invoke(TALK), Town)


@later("tool")
def check_tools():
    bound = model(max_tokens=400).bind_tools([TOOL], tool_choice="weather", parallel_tool_calls=False)
    (call,) = bound.invoke(TALK).tool_calls
    in_weather(call["args"])
    turn = [AIMessage("", tool_calls=[call]), ToolMessage("21 degrees", tool_call_id=call["id"])]
    assert model().bind_tools([TOOL]).invoke(TALK + turn).response_metadata["finish_reason"]


@later("tool")
def check_tool_stream():
    bound = model(max_tokens=400).bind_tools([TOOL], tool_choice="any", parallel_tool_calls=False)
    chunks = list(bound.stream(TALK))
    (call,) = sum(chunks[1:], chunks[0]).tool_calls
    in_weather(call["args"])


@later("/v1/responses")
def check_responses():
    assert model(use_responses_api=True, seed=None).invoke(TALK).usage_metadata["output_tokens"] > 0


if __name__ == "__main__":
    main(globals())
