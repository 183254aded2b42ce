"""serve.py ASTRO MODEL BACKEND: the demo model answers greedily, twice the same, one by one and in a crowd."""
import concurrent.futures
import sys

from server import post, serve

PROBLEMS = ["3 4 5 6 -> 18", "2 3 7 8 -> 24", "1 5 6 9 -> 30", "2 2 4 10 -> 20"]

astro, model, backend = sys.argv[1:]
with serve(astro, model, backend) as url:
    def ask(problem):
        body = {"model": "astro-countdown", "messages": [{"role": "user", "content": problem}], "max_tokens": 64, "temperature": 0}
        return post(url + "/v1/chat/completions", body)["choices"][0]["message"]["content"]

    alone = [ask(p) for p in PROBLEMS]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        crowd = list(pool.map(ask, PROBLEMS * 8))
for problem, answer in zip(PROBLEMS, alone):
    print(problem, "=>", answer)
if not all(alone):
    raise SystemExit("an answer is empty")
different = [p for p, a, b in zip(PROBLEMS * 8, alone * 8, crowd) if a != b]
if different:
    raise SystemExit(f"{len(different)} of {len(crowd)} answers differ in a crowd: {sorted(set(different))}")
print(f"{len(crowd)} answers in a crowd are those given alone")
