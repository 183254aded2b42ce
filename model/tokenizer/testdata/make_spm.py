"""A small SentencePiece model in a GGUF file, and what SentencePiece and Hugging Face make of it: the ground truth for GGUF files of
Llama 1 and 2, TinyLlama, Mistral and their like.

usage: make_spm.py [OUT_DIR]        (default: this folder)
needs: what make_cases.py needs, and sentencepiece gguf protobuf

It trains a BPE of 1,000 pieces with byte fallback on docs/decisions and the corpus of make_cases.py with the options of Llama 2, gives runs of
spaces one score, as Mistral's have, and writes
  spm-gguf.gguf   the vocabulary as llama.cpp's converter writes it, by the format's own library; no tensors
  spm-gguf.json   what make_cases.py writes for its tokenizers, with the merges that transformers makes of the scores, and
    sentencepiece   text, ids: encode(text) by SentencePiece, without what a model adds at the ends; transformers' ids are the same
    bare            text, ids: the same of the model without add_dummy_prefix
    spelled         ids, text: decode(ids) by SentencePiece
"""
import glob
import json
import os
import random
import sys
import tempfile

import gguf
import sentencepiece
import transformers
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers.tokenization_utils_base import generate_merges

import make_cases

HERE = os.path.dirname(os.path.abspath(__file__))
CONTROL, USER = ["[INST]", "[/INST]", "<|sep|>"], ["<tool>", "</tool>", "\u2603\u2603"]
TEMPLATE = ("{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}"
            "{% elif m['role'] == 'system' %}{{ '<tool>' + m['content'] + '</tool>\n' }}{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
            "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|sep|>' }}{% endif %}")
CONFIG = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=TEMPLATE)
SPACE = "\u2581"


def train(folder):
    """The model as SentencePiece's protocol buffer."""
    paths = sorted(glob.glob(os.path.join(HERE, "..", "..", "..", "docs", "decisions", "*.md")))
    lines = [line for path in paths for line in open(path).read().split("\n")] + make_cases.CORPUS.split("\n")
    lines += [" " * n + "x" for n in range(2, 9)] * 20 + ["-" * n for n in (2, 3, 4, 8)] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=os.path.join(folder, "m"), model_type="bpe", vocab_size=1000, character_coverage=0.9995,
        byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True, remove_extra_whitespaces=False, normalization_rule_name="identity",
        control_symbols=CONTROL, user_defined_symbols=USER, minloglevel=2)
    model = proto.ModelProto()
    model.ParseFromString(open(os.path.join(folder, "m.model"), "rb").read())
    for piece in model.pieces:
        if piece.type == 1 and set(piece.piece) == {SPACE}:
            piece.score = -1e9
    return model


def processor(model, prefix):
    copy = proto.ModelProto()
    copy.CopyFrom(model)
    copy.normalizer_spec.add_dummy_prefix = prefix
    return sentencepiece.SentencePieceProcessor(model_proto=copy.SerializeToString())


def write_gguf(path, model):
    w = gguf.GGUFWriter(path, "llama")
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    pads = range(len(model.pieces), len(model.pieces) + 8)  # ids that the embedding has and the tokenizer does not
    w.add_token_list([p.piece for p in model.pieces] + ["[PAD%d]" % i for i in pads])
    w.add_token_scores([p.score for p in model.pieces] + [-1000.0] * len(pads))
    w.add_token_types([p.type for p in model.pieces] + [gguf.TokenType.UNUSED] * len(pads))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    w.add_add_space_prefix(True)
    w.add_chat_template(TEMPLATE)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def convert(folder, model):
    """tokenizer.json in the form that published Llama 2 models have; merges by transformers from the scores."""
    vocab = {p.piece: i for i, p in enumerate(model.pieces)}
    merges = generate_merges(vocab, {p.piece: p.score for p in model.pieces})
    tok = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tok.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok.add_tokens([AddedToken(p.piece, special=p.type != 4, normalized=False) for p in model.pieces if p.type in (2, 3, 4)])
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    make_cases.write_tokenizer(folder, tok, CONFIG)


def random_texts(model):
    """Texts of pieces, of a few letters, of spaces, and of any characters."""
    rng, texts = random.Random(3), []
    pieces = [p.piece.replace(SPACE, " ") for p in model.pieces if p.type == 1]
    for _ in range(20):
        texts.append("".join(rng.choice(pieces) for _ in range(rng.randrange(1, 30))))
        letters = rng.sample("abcdeinorst .,-=_\n()", rng.randrange(2, 6))
        texts.append("".join(rng.choice(letters) for _ in range(rng.randrange(1, 60))))
        texts.append("".join(rng.choice([" ", "  ", "     ", "the", "\t", "\n", "--", "--", "#"]) for _ in range(rng.randrange(1, 40))))
        texts.append("".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(160, 0x250), rng.randrange(0x4e00, 0x9fff), rng.randrange(0x1f300, 0x1f6ff)]))
                             for _ in range(rng.randrange(1, 20))))
    return texts + [" " * n + "x" for n in range(1, 70, 9)] + [" " * n for n in range(1, 20)] + ["-" * n for n in range(1, 20)]


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else HERE
    with tempfile.TemporaryDirectory() as folder:
        model = train(folder)
        write_gguf(os.path.join(out, "spm-gguf.gguf"), model)
        convert(folder, model)
        plain = [t for t in make_cases.TEXTS if not any(name in t for name in USER) and "\0" not in t]
        made = [t for t in random_texts(model) if not any(name in t for name in USER)]
        whole, bare = processor(model, True), processor(model, False)
        fast = transformers.AutoTokenizer.from_pretrained(folder)
        for text in plain + made:
            ids = fast(text, split_special_tokens=True)["input_ids"][1:]
            assert ids == whole.encode(text), (text, fast.convert_ids_to_tokens(ids), whole.encode(text, out_type=str))
        rng = random.Random(9)
        spelled = [whole.encode(t) for t in plain] + [[rng.randrange(6, 1000) for _ in range(rng.randrange(1, 30))] for _ in range(40)]
        more = dict(sentencepiece=[dict(text=t, ids=whole.encode(t)) for t in made], bare=[dict(text=t, ids=bare.encode(t)) for t in plain],
                    spelled=[dict(ids=ids, text=whole.decode(ids)) for ids in spelled if not make_cases.half_broken(fast, ids)])
        make_cases.write_cases(os.path.join(out, "spm-gguf.json"), folder, more)


if __name__ == "__main__":
    main()
