"""What transformers makes of the chat templates of real models: the ground truth of TestRealTemplates, written to real.json.

usage: make_real.py LLAMA3_FILE [TEMPLATE_DIR [OUT_FILE]]   (defaults: .cache/templates of the repository, real.json beside this file)
needs: transformers tokenizers jinja2; no torch. scripts/fetch_templates.py fills TEMPLATE_DIR.

LLAMA3_FILE is test/data/Meta-Llama-3-8B-Instruct.json of the Go module github.com/daulet/tokenizers (`go list -m -f '{{.Dir}}'` says
where that is): Llama 3's tokenizer.

real.json holds
  conversations  our own messages with tools, variables and flags, by name
  templates      name, special tokens and SHA-256 of each template: the tests refuse another text than was rendered here
  cases          a template, a conversation, and what comes out: one of
                   want         the text, where it holds nothing that the template's author wrote at length
                   sha256       of the text, with its bytes: the templates belong to others, and a rendered tool or system preamble
                                is a large part of one; our repository holds no copy of either
                   error        the kind of error; reason_sha256 if the template itself refused the conversation
                 and, for the Llama 3 family, ids: how many tokens Llama 3's tokenizer makes of it, and their SHA-256 as int32
Everything is rendered by the function that apply_chat_template uses, after its normalization of messages. Where a template knows
no content in parts, transformers prints Python's form of the list; the case then wants what the parts' joined text renders to.
"""
import array
import copy
import hashlib
import json
import os
import sys

import jinja2
import tokenizers
import transformers
from transformers.utils import chat_template_utils

from make_cases import ADD, HERE, NOW, WEATHER  # which stops the clock, too

LONG = 48  # characters that the template's author wrote in one piece, from which on a text is kept as its hash
SPECIAL = {"llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}, "gemma": {"bos_token": "<bos>", "eos_token": "<eos>"},
           "qwen": {"eos_token": "<|im_end|>"}, "": {"bos_token": "<s>", "eos_token": "</s>"}}
# The families that the project promises: all conversations. Others get those of SOME.
PROMISED = ["test-bofenghuang-vigogne-2-70b-chat", "test-Llama-3", "meta-llama-", "Qwen-Qwen2.5", "mistralai-", "test-mistralai-", "test-Mistral-",
            "Mistral-Small", "google-gemma-2", "test-google-gemma", "NousResearch-Hermes-3"]
SOME = ["system", "turns", "unicode", "tools", "called", "answered", "parts", "continue"]


def turn(role, content=None, **more):
    return {"role": role, **({} if content is None else {"content": content}), **more}


def call(name, arguments, id="abc123DEF"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def text(*parts):
    return [{"type": "text", "text": p} for p in parts]


ASKED = turn("user", "Weather in Oslo?")
CALLED = [turn("system", "Be brief."), ASKED, turn("assistant", "", tool_calls=[call("weather", {"city": "Oslo", "days": 2, "exact": True})]),
          turn("tool", "{\"sky\": \"rain\"}", name="weather", tool_call_id="abc123DEF")]
TURNS = [turn("user", "One?"), turn("assistant", "First."), turn("user", "Two?"), turn("assistant", "Second."), turn("user", "Three?")]
NESTED = {"type": "function", "function": {"name": "search", "description": "Finds <things> & \"more\".", "parameters": {"type": "object", "properties": {
    "query": {"type": "string", "description": "Où? 日本"}, "limit": {"type": "integer", "default": 3}, "kind": {"type": "string", "enum": ["a", "b"]}, "exact": {"type": "boolean"}},
    "required": ["query"]}}}
CONVERSATIONS = {
    "user": dict(messages=[turn("user", "Hi")]),
    "system": dict(messages=[turn("system", "Be brief."), turn("user", "Hi")]),
    "turns": dict(messages=[turn("system", "You count.")] + TURNS),
    "turns without system": dict(messages=TURNS),
    "unicode": dict(messages=[turn("system", "Réponds en 日本語 🙂."), turn("user", "Ça va? \u200bnaïve e\u0301 \U0001F469\u200d\U0001F680 العربية"), turn("assistant", "«Oui»\u00a0— 是"), turn("user", "\ufeffИ?")]),
    "spaces": dict(messages=[turn("system", "  \n be \n "), turn("user", "\n\n  Hi\t\n"), turn("assistant", " Hello \n"), turn("user", " ")]),
    "quotes": dict(messages=[turn("user", "'a' \"b\" \\n \\ {{ 7 * 7 }} {% if %} <b>&amp;</b>\r\nx")]),
    "empty content": dict(messages=[turn("system", ""), turn("user", "")]),
    "parts": dict(messages=[turn("user", text("part one, ", "part two"))]),
    "two users": dict(messages=[turn("user", "a"), turn("user", "b")]),
    "nobody": dict(messages=[]),
    "unknown role": dict(messages=[turn("user", "a"), turn("wizard", "b")]),
    "no prompt": dict(messages=TURNS[:2], add_generation_prompt=False),
    "tools": dict(messages=[turn("system", "Be brief."), ASKED], tools=[WEATHER, ADD]),
    "nested tools": dict(messages=[ASKED], tools=[NESTED]),
    "tools in the system message": dict(messages=[turn("system", "Be brief."), ASKED], tools=[NESTED], vars={"tools_in_user_message": False, "date_string": "01 Jan 2025"}),
    "called": dict(messages=CALLED, tools=[WEATHER]),
    "called without content": dict(messages=[ASKED, turn("assistant", tool_calls=[call("add", {})]), turn("tool", "5", tool_call_id="abc123DEF")], tools=[ADD]),
    "answered": dict(messages=CALLED + [turn("assistant", "Rain."), turn("user", "Thanks. And Bergen?")], tools=[WEATHER, NESTED]),
    "two calls": dict(messages=[ASKED, turn("assistant", "", tool_calls=[call("weather", {"city": "a \"b\" é", "list": [1, 2.5, None]}), call("add", {"x": {"y": "z"}}, "abc123GHI")]),
                                turn("tool", "1", tool_call_id="abc123DEF"), turn("tool", "2", tool_call_id="abc123GHI")], tools=[WEATHER, ADD]),
    "continue": dict(messages=TURNS[:1] + [turn("assistant", "The answer is")], add_generation_prompt=False, continue_final_message=True),
    "continue after space": dict(messages=[turn("system", "s"), turn("user", "q"), turn("assistant", " Well, \n")], add_generation_prompt=False, continue_final_message=True),
    "continue parts": dict(messages=[turn("user", "q"), turn("assistant", text("one ", "two "))], add_generation_prompt=False, continue_final_message=True),
    "continue the user": dict(messages=[turn("user", "I think that")], add_generation_prompt=False, continue_final_message=True),
    "continue nothing": dict(messages=[turn("user", "q"), turn("assistant", tool_calls=[call("add", {})])], add_generation_prompt=False, continue_final_message=True),
    "reasoning": dict(messages=[turn("user", "q"), turn("assistant", "a", reasoning_content="because"), turn("user", "r")]),
    "variables": dict(messages=[turn("user", "q")], vars={"enable_thinking": False, "date_string": "1 May 2024", "thinking": False}),
}


def kind(name):
    """Which special tokens a template's model has."""
    low = name.lower()
    return "llama3" if "llama-3" in low else "gemma" if "gemma" in low else "qwen" if "qwen" in low else ""


def join_parts(messages):
    for m in messages:
        if isinstance(m.get("content"), list):
            m["content"] = "".join(p["text"] for p in m["content"])
    return messages


def render(template, special, given):
    given = {"add_generation_prompt": True, **copy.deepcopy(given)}
    variables = given.pop("vars", {})
    messages = chat_template_utils._normalize_chat_messages(given.pop("messages"))
    run = lambda messages: chat_template_utils.render_jinja_template([messages], chat_template=template, **given, **special, **variables)[0][0]
    has_parts = any(isinstance(m.get("content"), list) for m in messages)
    try:
        out = run(copy.deepcopy(messages))
        if not has_parts or "'type': 'text'" not in out:
            return out, None
    except Exception as e:  # whatever a template can do wrong
        if not has_parts or isinstance(e, jinja2.exceptions.TemplateSyntaxError):
            return None, e
    try:
        return run(join_parts(messages)), None
    except Exception as e:
        return None, e


def author_wrote(template, out):
    """Whether a long piece of the template stands in the text."""
    literals = chat_template_utils._get_template_literal_text(template)
    pieces = {line[i:i + LONG] for line in literals.replace("\0", "\n").split("\n") for i in range(len(line) - LONG + 1)}
    return any(p in out for p in pieces)


def digest(data):
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode("utf-8")).hexdigest()


def outcome(template, out, error, ids):
    if error is not None:
        refused = type(error) is jinja2.exceptions.TemplateError
        return {"error": type(error).__name__, **({"reason_sha256": digest(str(error))} if refused else {})}
    case = {"sha256": digest(out), "bytes": len(out.encode("utf-8"))} if author_wrote(template, out) else {"want": out}
    if ids is not None:
        case["ids"] = {"count": len(ids), "sha256": digest(array.array("i", ids).tobytes())}
    return case


def main(llama3, folder=os.path.join(HERE, "..", "..", "..", ".cache", "templates"), out=os.path.join(HERE, "real.json")):
    encoder = tokenizers.Tokenizer.from_file(llama3)
    templates, cases = [], []
    for file in sorted(os.listdir(folder)):
        name = file.removesuffix(".jinja")
        with open(os.path.join(folder, file), encoding="utf-8", newline="") as f:
            template = f.read()
        try:
            chat_template_utils._compile_jinja_template(template)
        except jinja2.exceptions.TemplateSyntaxError as e:
            print("transformers cannot compile", name, e)
            continue
        special = SPECIAL[kind(name)]
        promised = any(name.startswith(p) for p in PROMISED)
        templates.append({"name": name, "promised": promised, "special": special, "sha256": digest(template)})
        for conversation in CONVERSATIONS if promised else SOME:
            rendered, error = render(template, special, CONVERSATIONS[conversation])
            ids = encoder.encode(rendered, add_special_tokens=False).ids if rendered is not None and kind(name) == "llama3" and promised else None
            cases.append({"template": name, "conversation": conversation, **outcome(template, rendered, error, ids)})
    line = lambda v: json.dumps(v, ensure_ascii=False)
    with open(out, "w", encoding="utf-8") as f:
        f.write('{"transformers": ' + line(transformers.__version__) + ', "now": ' + line(NOW.isoformat() + "Z") + ',\n"conversations": {\n')
        f.write(",\n".join(line(k) + ": " + line({"add_generation_prompt": True, **v}) for k, v in CONVERSATIONS.items()))
        f.write('},\n"templates": [\n' + ",\n".join(map(line, templates)) + '],\n"cases": [\n' + ",\n".join(map(line, cases)) + "]}\n")
    print(len(templates), "templates,", sum(t["promised"] for t in templates), "promised;", len(cases), "cases,", sum("error" in c for c in cases), "errors,",
          sum("want" in c for c in cases), "as text,", sum("sha256" in c for c in cases), "as hashes")


if __name__ == "__main__":
    main(*sys.argv[1:])
