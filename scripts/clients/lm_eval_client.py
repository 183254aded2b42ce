"""lm-eval: log-likelihoods and generation over /v1/completions, generation over /v1/chat/completions, on tasks of our own."""

import os
import pathlib

from checks import API_KEY, DEMO, DEMO_URL, main

os.environ.update(OPENAI_API_KEY=API_KEY, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false",
                  HF_HOME=os.path.join(os.environ.get("CLIENT_HOME", "."), "hf"))
import lm_eval  # noqa: E402
import requests  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent / "lm-eval"
TASKS = pathlib.Path(os.environ.get("CLIENT_HOME", ".")) / "tasks"


def evaluate(task, kind, route, **more):
    """Runs a task and gives its results and its samples."""
    TASKS.mkdir(parents=True, exist_ok=True)
    text = (FOLDER / f"{task}.yaml").read_text().replace("FOLDER", str(FOLDER))
    (TASKS / f"{task}.yaml").write_text(text)
    args = dict(model=DEMO, base_url=DEMO_URL + route, num_concurrent=2, max_retries=1, auth_token=API_KEY, max_length=512, **more.pop("args", {}))
    done = lm_eval.simple_evaluate(model=kind, model_args=args, tasks=[task], task_manager=TaskManager(include_path=str(TASKS), include_defaults=False),
                                   bootstrap_iters=0, log_samples=True, **more)
    return done["results"][task], done["samples"][task]


def post(route, body):
    reply = requests.post(DEMO_URL + route, json=body, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=120)
    reply.raise_for_status()
    return reply.json()


def log_likelihood(context, continuation):
    """What lm-eval must find: the sum over the tokens of continuation, by our own request."""
    tokens = [post("/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"] for text in (context, context + continuation)]
    scored = post("/v1/completions", {"model": DEMO, "prompt": tokens[1], "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1})
    return sum(scored["choices"][0]["logprobs"]["token_logprobs"][len(tokens[0]) : -1])


def check_loglikelihood_remote_tokenizer():
    results, samples = evaluate("astro_choice", "local-completions", "/v1/completions", args=dict(tokenizer_backend="remote", tokenized_requests=True))
    assert results["acc,none"] == 1.0, results
    for sample in samples:
        for choice, (answer,) in zip(sample["doc"]["choices"], sample["resps"]):
            want = log_likelihood(sample["doc"]["context"], choice)
            assert abs(float(answer[0]) - want) < 1e-3, (sample["doc"], answer, want)


def check_generate_remote_tokenizer():
    _, samples = evaluate("astro_generate", "local-completions", "/v1/completions", args=dict(tokenizer_backend="remote", tokenized_requests=True))
    texts = [sample["resps"][0][0] for sample in samples]
    assert len(texts) == 4 and all(texts) and not any("|" in text or ";" in text for text in texts), texts


def check_generate_chat():
    _, samples = evaluate("astro_generate", "local-chat-completions", "/v1/chat/completions", apply_chat_template=True)
    texts = [sample["resps"][0][0] for sample in samples]
    assert len(texts) == 4 and all(texts) and not any("|" in text or ";" in text for text in texts), texts


if __name__ == "__main__":
    main(globals())
