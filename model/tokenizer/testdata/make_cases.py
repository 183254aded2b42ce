"""Token ids and texts by Hugging Face, the ground truth of package tokenizer's tests, and small tokenizers to make them with.

usage: make_cases.py LLAMA3_DIR COUNTDOWN_DIR [OUT_DIR]        (default: this folder)
needs: tokenizers transformers jinja2
LLAMA3_DIR is test/data in the Go module github.com/daulet/tokenizers (go list -m -f '{{.Dir}}' prints its place); it holds Llama 3's
tokenizer, which is not copied. COUNTDOWN_DIR is models/countdown-base.

It writes, for each of
  llama3         Llama 3
  countdown      the demo model's words
  bpe512         a byte-level BPE in the manner of Llama 3, trained here on a few paragraphs of our own
  spm-legacy     a BPE with byte fallback in the manner of Llama 2: a normalizer puts a space before each stretch of text
  spm-first      the same vocabulary in the newer form: a pre-tokenizer puts a space before the first stretch only
a file NAME.json, and for the last three a folder NAME with tokenizer.json and tokenizer_config.json. NAME.json holds
  versions   of the libraries
  encode     text, ids: tokenizer(text, split_special_tokens=True)
  trusted    text, ids: tokenizer(text, add_special_tokens=False), where special tokens' names count
  decode     ids, text: decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
  chats      messages, generate, ids: apply_chat_template(messages, add_generation_prompt=generate, tokenize=True)
"""
import json
import os
import random
import shutil
import sys
import tempfile

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = """The ferry leaves at seven in the morning and comes back when the tide is low. Nobody on the island owns a car, so the road
from the harbour to the school is full of bicycles, dogs and children. When it rains, and it often rains, the children run.
A baker's day begins at night. First she weighs flour, water and salt: 1000 grams, 680 grams, 20 grams. Then she waits. Waiting is
most of the work, she says; the rest is heat. By five o'clock there are 240 loaves in the window, and by nine there are none.
If you want to count to a million, you'll need about twelve days without sleep. It isn't hard, it's only long. I've tried it with
my brother: we'd said 31415 when our mother called us to dinner, and we didn't begin again.
def area(width, height):
    if width < 0 or height < 0:
        raise ValueError("a side is negative")
    return width * height

for (int i = 0; i < 10; i++) { sum += values[i]; }
The old clock in the hall has two faces. One shows the time here, the other shows the time where my grandfather was born, and
between them, on a small brass plate, somebody has scratched: "both are right".
Caf\u00e9 na\u00efve \u00fcber stra\u00dfe se\u00f1or gar\u00e7on. \u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u4f60\u597d\uff0c\u4e16\u754c\u3002 \u0645\u0631\u062d\u0628\u0627
"""

LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                  r"|\s+(?!\S)|\s+")

TEXTS = [
    "", " ", "  ", "\n", "\n\n\n", "\t", " \n \n ", "a", " a", "a ", "Hello, world!", "  two spaces  here  ", "tabs\tand\r\nline ends\r",
    "The baker's children didn't wait; they've run to the harbour.", "I'M SHOUTING, YOU'LL SEE", "1", "12", "1234567890", "3.14159, -2e10, 0x1F",
    "2024-02-29T23:59:59Z", "def f(x):\n    return x ** 2  # square\n\n\nprint(f(3))\n", "if (a && b || !c) { x += y[0]; }\n\t\treturn;",
    "<html><body class=\"x\">&amp;</body></html>", "{\"key\": [1, 2.5, null, true], \"t\": \"\\u00e9\"}", "https://example.com/a/b?c=d&e=%20#f",
    "caf\u00e9 na\u00efve \u00fcber", "cafe\u0301 nai\u0308ve", "\u0041\u030a\u0323\u0301\u0301\u0301", "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8",
    "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "\U0001F600", "\U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466 family", "\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", "\u2764\ufe0f\U0001F1EB\U0001F1F7",
    "\ufffd", "a\ufffdb", "\ufeffmark", "\u00a0\u2003\u3000wide spaces\u2028lines\u2029", "zero\u200bwidth\u200cjoin\u200ders", "\x00", "a\x00b", "\x00\x00 end\x00",
    "\x01\x02\x1b[31mred\x1b[0m\x7f", "\ufdd0\ufdd1", "\ufdd0", "\ufdd0\ufdd2 and \ufdd1 \U00100000 \ufdd0\U00100000", "\U0010ffff\ue000",
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 8, "x" * 300, " " * 200 + "end", "ab" * 200, "\n" * 100, "9" * 100, "\u00e9" * 100, "!?" * 60,
    "\u2581a \u2581 b\u2581\u2581", "_under_score__ and-hyphen--", "'s 't 're 'S 'LL o'clock", "<|begin_of_text|>no start<|eot_id|>", "<s>[INST] text [/INST]</s><unk>", "<0x0A><0x41>",
    "<|bos|><|head|>user<|/head|> be <|end|>", " <|strip|> spaces <|strip|>", "SEP xSEP SEPx SEP", "<think>hm</think> <think >", "<bos> 3 7 2 9 -> 27 : <eos><pad>",
    "3 7 2 9 -> 27 : 3 * 9 = 27 | 7 - 2 = 5", "The answer is 27. But wait, are we solving the problem correctly so far? Hmm...", "10*5+2=52;50/2-1->24",
]

TRUSTED_TEXTS = [
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>", "<|eot_id|><|eot_id|> <|eot_id|>\n", "<|eot_id", "<<|eot_id|>>",
    "<s>a</s> b<s> <s>", "</s></s", " <s> [INST] x [/INST] y </s><s>", "<unk>", "a SEP b", "aSEP", "SEPb", "(SEP)SEP.SEP", "\u00e9SEP SEP\u00e9 _SEP",
    "a \n<|strip|>\t b", "<|strip|>   <|strip|>", "<|end|> <|strip|><|head|>", "SEP<|strip|>SEP", "\x00SEP\x00<|eos|>\ufdd0SEP", "<think><|end|></think><|/head|>",
    "<bos>3 7 -> 27 :<eos>", "<pad><pad><unk>x",
]

CHATS = [
    [("user", "Hello")], [("user", "  trim me \n")], [("user", "")], [("system", "Be short."), ("user", "Why is the sky blue?")],
    [("user", "Hi"), ("assistant", "Hello! How can I help?"), ("user", "Count to 3.")],
    [("user", "\n\nleading lines\nand more\n\n")], [("user", "1234"), ("assistant", "5678"), ("user", ": 'll see")],
    [("user", "\U0001F468\u200D\U0001F469\u200D\U0001F467"), ("assistant", "\u4f60\u597d"), ("user", "cafe\u0301")],
    [("system", "s" * 300), ("user", "word " * 100)], [("user", "def f():\n\treturn 1\n"), ("assistant", "```py\nf()\n```")],
    [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e"), ("assistant", "f"), ("user", "g")],
    [("user", "3 7 2 9 -> 27")], [("user", "half a name: <|eot"), ("assistant", "_id|> the rest")], [("user", "null \x00 byte and \ufdd0\ufdd1")],
    [("user", "\u2581mark \u2581"), ("assistant", " spaced ")],
]


def train_bpe512():
    """Byte-level BPE with added tokens of every kind: special, ordinary, taking spaces, whole words only."""
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    added = [AddedToken(name, special=True, normalized=False) for name in ("<|bos|>", "<|eos|>", "<|head|>", "<|/head|>", "<|end|>", "<|pad|>")]
    added.append(AddedToken("<|strip|>", special=True, normalized=False, lstrip=True, rstrip=True))
    added.append(AddedToken("SEP", special=True, normalized=False, single_word=True))
    added += [AddedToken("<think>", special=False, normalized=False), AddedToken("</think>", special=False, normalized=True)]
    trainer = trainers.BpeTrainer(vocab_size=512 - len(added), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tok.train_from_iterator([CORPUS], trainer)
    tok.add_tokens(added)
    tok.post_processor = processors.TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", tok.token_to_id("<|bos|>"))])
    template = ("{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ '<|head|>' + m['content'] + '<|/head|>' }}"
                "{% else %}{{ m['role'] + ': ' + m['content'] + '<|end|>' }}{% if not loop.last %}{{ '\n <|strip|> ' }}{% endif %}{% endif %}"
                "{% endfor %}{% if add_generation_prompt %}{{ 'SEP assistant:' }}{% endif %}")
    return tok, dict(bos_token="<|bos|>", eos_token="<|eos|>", pad_token="<|pad|>", chat_template=template)


def train_spm(first):
    """BPE with byte fallback: 3 special tokens, 256 bytes, then pieces."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS.split("\n"), trainers.BpeTrainer(vocab_size=240, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    names = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + pieces
    vocab = {name: i for i, name in enumerate(names)}
    assert len(vocab) == len(names)
    tok = Tokenizer(models.BPE(vocab, [tuple(m) for m in model["merges"]], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if first:
        tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        tok.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names[:3]])
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    template = ("{% for m in messages %}{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' ' + eos_token }}"
                "{% else %}{{ bos_token + '[' + m['role'] + '] ' + m['content'] + ' [/]' }}{% endif %}{% endfor %}")
    return tok, dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=template)


def write_tokenizer(folder, tok, config):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tok.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    config = dict(config, tokenizer_class="PreTrainedTokenizerFast", clean_up_tokenization_spaces=False)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump(config, f, indent=1)


def half_broken(tok, ids):
    """A run of byte tokens is UTF-8 in part: see the comment of Stream for what differs there."""
    run, runs = bytearray(), []
    for name in tok.convert_ids_to_tokens(ids, skip_special_tokens=True) + ["end"]:
        if name.startswith("<0x") and len(name) == 6:
            run.append(int(name[3:5], 16))
        else:
            runs.append(bytes(run))
            run = bytearray()
    return any(run.decode("utf-8", "replace").encode() != run and run.decode("utf-8", "ignore") for run in runs)


def decode_cases(tok, encoded):
    rng = random.Random(7)
    sequences = [case["ids"] for case in encoded] + [ids[len(ids) // 3:] for ids in (case["ids"] for case in encoded) if len(ids) > 3]
    sequences += [[rng.randrange(len(tok)) for _ in range(rng.randrange(1, 40))] for _ in range(80)]
    first_byte = tok.convert_tokens_to_ids("<0x00>")
    if first_byte == 3:  # byte fallback: whole runs that are no UTF-8, and ones that are
        some = tok.convert_tokens_to_ids("\u2581the")
        runs = [[0xE5], [0xE5, 0x8F], [0xE5, 0x8F, 0xAB], [0xFF, 0xFE], [0x20], [0x20, 0x20, 0x61], [0xF0, 0x9F, 0x98, 0x80], [0x80, 0x80], [0xF0, 0x9F, 0x98]]
        for run in runs:
            ids = [first_byte + b for b in run]
            sequences += [ids, [some] + ids + [some], ids + [2] + [some]]
        sequences.append([first_byte + 0xE5, 1, first_byte + 0x8F, 2, first_byte + 0xAB])  # special tokens do not end a run
    return [dict(ids=ids, text=tok.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)) for ids in sequences if not half_broken(tok, ids)]


def chat_cases(tok):
    cases = []
    for chat in CHATS:
        messages = [dict(role=role, content=content) for role, content in chat]
        for generate in (False, True):
            ids = tok.apply_chat_template(messages, add_generation_prompt=generate, tokenize=True, return_dict=False)
            cases.append(dict(messages=messages, generate=generate, ids=ids))
    return cases


def write_cases(path, folder, more={}):
    tok = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = []
    for text in TEXTS:
        ids = tok(text, split_special_tokens=True)["input_ids"]
        fast = tok.backend_tokenizer
        fast.encode_special_tokens = True
        assert ids == fast.encode(text).ids, text
        fast.encode_special_tokens = False
        encoded.append(dict(text=text, ids=ids))
    trusted = [dict(text=text, ids=tok(text, add_special_tokens=False)["input_ids"]) for text in TEXTS + TRUSTED_TEXTS]
    cases = dict(versions=dict(tokenizers=tokenizers.__version__, transformers=transformers.__version__), encode=encoded, trusted=trusted,
                 decode=decode_cases(tok, encoded), chats=chat_cases(tok), **more)
    with open(path, "w") as f:
        f.write("{\n")
        f.write(' "versions": %s' % json.dumps(cases.pop("versions")))
        for key, rows in cases.items():
            f.write(',\n "%s": [\n  %s\n ]' % (key, ",\n  ".join(json.dumps(row) for row in rows)))
        f.write("\n}\n")
    print(path, {key: len(rows) for key, rows in cases.items()})


def main():
    llama3, countdown = sys.argv[1:3]
    out = sys.argv[3] if len(sys.argv) > 3 else os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(llama3, "Meta-Llama-3-8B-Instruct.json"), os.path.join(folder, "tokenizer.json"))
        shutil.copy(os.path.join(llama3, "meta-llama-3-8b-instruct", "tokenizer_config.json"), folder)
        write_cases(os.path.join(out, "llama3.json"), folder)
    write_cases(os.path.join(out, "countdown.json"), countdown)
    for name, (tok, config) in {"bpe512": train_bpe512(), "spm-legacy": train_spm(False), "spm-first": train_spm(True)}.items():
        write_tokenizer(os.path.join(out, name), tok, config)
        write_cases(os.path.join(out, name + ".json"), os.path.join(out, name))


if __name__ == "__main__":
    main()
