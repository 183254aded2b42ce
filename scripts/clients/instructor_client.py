"""instructor over openai for Python: objects by JSON schema, by tools, by JSON mode, and partial ones from a stream."""

from typing import Literal

import instructor
import openai
import pydantic
from checks import API_KEY, BYTES, BYTES_URL, TALK, later, main


class Town(pydantic.BaseModel):
    """A town."""

    name: Literal["Paris", "Łódź"]
    large: bool


def client(mode):
    return instructor.from_openai(openai.OpenAI(base_url=BYTES_URL + "/v1", api_key=API_KEY, max_retries=0), mode=mode)


def town(mode):
    request = dict(model=BYTES, messages=TALK, response_model=Town, max_retries=0, seed=7, max_tokens=400)
    return client(mode).chat.completions.create(**request)


@later("response_format")
def check_json_schema():
    assert isinstance(town(instructor.Mode.JSON_SCHEMA), Town)


@later("tool")
def check_tools():
    assert isinstance(town(instructor.Mode.TOOLS), Town)


@later("response_format")
def check_partial():
    request = dict(model=BYTES, messages=TALK, response_model=Town, max_retries=0, seed=7, max_tokens=400)
    last = None
    for last in client(instructor.Mode.JSON_SCHEMA).chat.completions.create_partial(**request):
        pass
    assert last is not None and last.name in ("Paris", "Łódź") and isinstance(last.large, bool)


if __name__ == "__main__":
    main(globals())
