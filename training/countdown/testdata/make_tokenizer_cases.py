"""Encodes and decodes texts with the demo model's tokenizer in transformers, and writes what TestTokenizerCases wants.

    python make_tokenizer_cases.py FOLDER      (FOLDER holds tokenizer.json and tokenizer_config.json)

It fails if the text of any run of tokens does not encode to the same tokens again.
"""
import json
import pathlib
import random
import sys

from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
random.seed(1)
ids = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
texts = ["3 7 2 9 -> 27", " 3 7 2 9 -> 27 :", "3 7 2 9->27:", "9+2=11|3 7 11", "", " ", "hello", "what is 3 + 4?", "007 50 51 999 0",
         "<bos> 3 <eos>", "But wait, are we", "The answer is27;", "3\n7\t2  9", "Ünïcode 漢字 3", "--> -", "The answer is the answer is"]
for _ in range(40):
    run = [random.choice(ids) for _ in range(random.randint(1, 60))]
    text = tokenizer.decode(run)
    if tokenizer.encode(text, add_special_tokens=False) != run:
        sys.exit(f"{run} reads {text!r} and encodes to {tokenizer.encode(text, add_special_tokens=False)}")
    texts.append(text)


def encode(text):  # as the server does: nothing in a user's text is a special token
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


cases = [{"text": t, "ids": encode(t), "decoded": tokenizer.decode(encode(t))} for t in texts]
chats = [[{"role": "user", "content": "3 7 2 9 -> 27"}],
         [{"role": "system", "content": "be brief"}, {"role": "user", "content": " 3 7 -> 21\n"}],
         [{"role": "user", "content": "1 2 -> 3"}, {"role": "assistant", "content": "1 + 2 = 3 ;"}, {"role": "user", "content": "4 5 6 7 -> 22"}]]
rendered = [{"messages": c, "text": tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True)} for c in chats]
path = pathlib.Path(__file__).parent / "tokenizer_cases.json"
path.write_text("{\n" + ",\n".join(f'"{k}": [\n' + ",\n".join(json.dumps(x, ensure_ascii=False) for x in v) + "\n]"
                                for k, v in {"cases": cases, "chats": rendered}.items()) + "\n}" + "\n")
print(len(cases), "cases,", len(chats), "chats")
