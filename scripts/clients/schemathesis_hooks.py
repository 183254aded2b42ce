"""What schemathesis cannot know from the document: the names and sizes of the model that is served.

In requests that follow the document, values are moved into what this model can do (its name, token ids below its vocabulary, prompts
and answers that fit its context), and parameters that exclude each other are not sent together; so each of them must be answered.
Graders are made such that this server can build them, files such that their purpose can use them, and lists are not asked to go on
after an id that they cannot have. What a session is needed for is called with the key of one.
Requests that break the document on purpose are sent as they are. Read by schemathesis through SCHEMATHESIS_HOOKS.
"""

import json
import os
import re
import urllib.request
import uuid

import schemathesis
from schemathesis import GenerationMode

MODEL = os.environ["ASTRO_MODEL"]
VOCAB, MAX_TEXT, MAX_LIST, MAX_ANSWER = int(os.environ["ASTRO_VOCAB"]), 24, 4, 8
BLOCKS = {"text": {"text"}, "input_text": {"text"}, "output_text": {"text"}, "tool_use": {"id", "name", "input"},
          "tool_result": {"tool_use_id", "content", "is_error"}}  # members of content blocks; as additional ones elsewhere they may be refused
BLOCK_NAMES = set().union(*BLOCKS.values())
PLACEHOLDER = re.compile(r"\{\{ *(sample\.output_text|item\.[A-Za-z0-9_.-]{1,64}) *\}\}")
LISTS = ("/v1/files", "/v1/fine_tuning/jobs")  # an id that such a list does not have is an error, and there are none
START, IN_SESSION = "/rl/start_session", ("/rl/set_reward", "/rl/end_session")
SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}


def whole(value, low, high):
    """Whether value is an integer as JSON Schema sees it (2.0 is one) from low to high."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high and value == int(value)


def small(value):
    """Shorter texts and lists: limits count bytes where JSON Schema counts characters, and the whole has to fit the context."""
    if isinstance(value, str):
        return value[: MAX_TEXT if value.isascii() else MAX_TEXT // 2]
    if isinstance(value, list):
        return [small(v) for v in value[:MAX_LIST]]
    if isinstance(value, dict):
        kind = value.get("type")
        others = BLOCK_NAMES - BLOCKS[kind] if isinstance(kind, str) and kind in BLOCKS else ()
        return {k: small(v) for k, v in value.items() if k not in others}
    beyond = isinstance(value, (int, float)) and not -(1 << 63) <= value < 1 << 63  # numbers of arguments are read as 64 bits
    return 0 if beyond else value


def ids(value):
    """Token ids of the served vocabulary, in place of any list of them."""
    if isinstance(value, list) and value and all(whole(v, 0, 1 << 31) for v in value):
        return [int(v) % VOCAB for v in value]
    return value


def prompt(value):
    if isinstance(value, list) and value and all(isinstance(v, (list, str)) for v in value):
        return [ids(v) for v in value]
    return ids(value)


def biases(value):
    if isinstance(value, dict):
        return {str(int(k) % VOCAB) if k.isascii() and k.isdigit() and len(k) < 10 and k == str(int(k)) else k: v for k, v in value.items()}
    return value


def bounded(low, high, limit):
    return lambda value: min(value, limit) if whole(value, low, high) else value


def schema(value):
    return SCHEMA if isinstance(value, dict) else value


MOVES = {
    "input": lambda v: prompt(v) if not isinstance(v, list) or not any(isinstance(x, dict) for x in v) else v,
    "model": lambda v: MODEL if isinstance(v, str) and 0 < len(v.encode("utf-8", "surrogatepass")) <= 256 else v,
    "prompt": prompt, "tokens": ids, "stop_token_ids": ids, "allowed_token_ids": ids, "logit_bias": biases,
    "max_tokens": bounded(1, 1 << 24, MAX_ANSWER), "max_completion_tokens": bounded(1, 1 << 24, MAX_ANSWER), "min_tokens": bounded(0, 1 << 24, 1),
    "n": bounded(1, 128, 2), "best_of": bounded(1, 128, 2),
}


LIMITS = {"/v1/chat/completions": "max_completion_tokens", "/v1/responses": "max_output_tokens", "/v1/messages": "max_tokens"}


def settle(body, path):
    """Moves what is valid by itself but not with the rest of the body, or not with this model."""
    for name in list(body):
        body[name] = small(body[name])
    if isinstance(body.get("chat_template_kwargs"), dict):
        body["chat_template_kwargs"] = {}  # some names are the server's own
    for name, move in MOVES.items():
        if name in body:
            body[name] = move(body[name])
    if whole(body.get("best_of"), 1, 128):
        body["best_of"] = body.get("n") if whole(body.get("n"), 1, 128) else 1
    if whole(body.get("max_tokens"), 0, 0) and "prompt" in body:
        body["echo"], body["n"], body["min_tokens"] = True, 1, 0
        body.pop("best_of", None)
    if isinstance(body.get("stream_options"), dict) and body.get("stream") in (None, False):
        body["stream"] = True
    if body.get("stream") is True:
        body.pop("prompt_logprobs", None)
    if path == "/v1/chat/completions":
        body.pop("max_tokens", None)  # the older name
    if path in LIMITS:
        body[LIMITS[path]] = MAX_ANSWER  # else an answer may go on to the end of the context
    if path == "/v1/messages/count_tokens":
        body.pop("min_tokens", None)
    if path == "/tokenize" and "messages" in body:
        body.pop("prompt", None)
    if whole(body.get("top_logprobs"), 1, 20) and body.get("logprobs") in (None, False):
        body["logprobs"] = True
    if body.get("continue_final_message") is True:
        body["add_generation_prompt"] = False
        last = body["messages"][-1] if "messages" in body else {}
        if not isinstance(last.get("content"), str):
            body.pop("continue_final_message")  # there is no text to go on with
    settle_format(body)
    settle_tools(body)
    settle_exclusions(body)
    settle_graders(body)
    if path == "/v1/files":
        body["file"] = '{"messages": []}\n'  # of any bytes, few are lines of JSON
    if path == START and isinstance(body.get("api_key"), str):
        body["api_key"] = uuid.uuid4().hex  # one key opens one session


def settle_format(body):
    """One format at most, one that this grammar has, and none beside a call that must be made."""
    form, structured = body.get("response_format"), body.get("structured_outputs")
    if isinstance(form, dict):
        if form.get("type") == "json_schema" and not isinstance(form.get("json_schema"), dict):
            form["json_schema"] = {"name": "ok"}
        if isinstance(form.get("json_schema"), dict):
            form["json_schema"]["schema"] = schema(form["json_schema"].get("schema"))
    if isinstance(structured, dict):
        if isinstance(structured.get("regex"), str):
            structured["regex"] = "[0-9]{1,3}"
        structured["json"] = schema(structured.get("json"))
        given = [k for k in ("json", "regex", "choice", "json_object") if structured.get(k) not in (None, False)]
        for k in given if isinstance(form, dict) else given[1:]:
            structured.pop(k)
    text = body.get("text")
    if isinstance(text, dict) and isinstance(text.get("format"), dict):
        body.pop("structured_outputs", None)
        if "schema" in text["format"]:
            text["format"]["schema"] = schema(text["format"]["schema"])


def settle_exclusions(body):
    """What an answer in a format, or one that must be a call, excludes."""
    if body.get("tool_choice") == "required":
        for name in ("response_format", "structured_outputs", "text"):
            body.pop(name, None)
    if any(body.get(name) not in (None, "none", "auto") for name in ("response_format", "structured_outputs", "text", "tool_choice")):
        body.pop("allowed_token_ids", None)
        body.pop("ignore_eos", None)


def settle_tools(body):
    tools = body.get("tools")
    if isinstance(tools, list):
        names = set()
        for i, tool in enumerate(tools):
            holder = tool.get("function") if isinstance(tool, dict) and "function" in tool else tool
            for name in ("parameters", "input_schema"):
                if isinstance(holder, dict) and name in holder:
                    holder[name] = schema(holder[name])
            if isinstance(holder, dict) and holder.get("name") in names:
                holder["name"] = f"f{i}"  # two functions cannot have one name
            names.add(holder.get("name") if isinstance(holder, dict) else None)
    if isinstance(body.get("tool_choice"), dict) or not tools:
        body.pop("tool_choice", None)  # it would have to name one of the tools


def settle_graders(body):
    """The grader of a request, or of the method of a job."""
    method = body.get("method")
    for holder in (body, method.get("reinforcement") if isinstance(method, dict) else None):
        if isinstance(holder, dict) and "grader" in holder:
            holder["grader"] = grader(holder["grader"])


def grader(value):
    """One that can be made here: no service is configured, an expression is RE2's, a formula names graders, a cut placeholder is none."""
    if isinstance(value, str):
        return "math"
    if not isinstance(value, dict):
        return value
    if value.get("type") == "http":
        return {"type": "math"}
    for name in ("input", "reference"):
        if isinstance(value.get(name), str) and "{{" in PLACEHOLDER.sub("", value[name]):
            value[name] = "{{item.answer}}"
    if value.get("type") == "pattern":
        value["expression"] = "[0-9]+"
    if value.get("type") == "multi":
        value["graders"] = {f"g{i}": grader(part) for i, part in enumerate(value["graders"].values())}
        value["calculate_output"] = "g0"
    return value


def names(schema):
    """The names of all properties in a part of the document."""
    if isinstance(schema, list):
        return set().union(*[names(part) for part in schema])
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own.union(*[names(part) for part in schema.values()])


def borrowed(operation):
    """Names that mean something elsewhere in the document: as additional ones of this operation, they may be refused."""
    schemas = operation.schema.raw_schema["components"]["schemas"]
    (content,) = operation.definition.raw["requestBody"]["content"].values()  # JSON, or a form
    own = schemas[content["schema"]["$ref"].split("/")[-1]]
    return names(schemas) - set().union(*[part.get("properties", {}) for part in [own, *own.get("anyOf", [])]])


def in_session(request):
    """Gives a request with the key of this run that of a new session in its place. One without it, to see whether it is refused, stays so."""
    key = f"Bearer {os.environ['ASTRO_KEY']}"
    if request.headers.get("Authorization") == key:
        start = urllib.request.Request(os.environ["ASTRO_URL"] + START, b'{"task_id": "schemathesis"}', {"Authorization": key, "Content-Type": "application/json"})
        with urllib.request.urlopen(start, timeout=60) as answer:
            request.headers["Authorization"] = f"Bearer {json.load(answer)['api_key']}"
    return request


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.path == "/v1/models/{id}" and (case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE):
        case.path_parameters["id"] = MODEL
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if case.operation.path in LISTS and case.query:
        case.query.pop("after", None)
    if case.operation.path in IN_SESSION:
        kwargs["auth"] = in_session
    if isinstance(case.body, dict):
        for name in borrowed(case.operation) & set(case.body):
            del case.body[name]
        settle(case.body, case.operation.path)
