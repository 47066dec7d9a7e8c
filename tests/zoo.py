"""Small ONNX networks made by `onnx.helper`, and a ResNet-18 with random weights, for the tests of every room.

``NETWORKS`` maps a name to a function that makes the model; ``inputs_for(model, batch=2)`` draws matching inputs.
Weights are scaled to keep activations near one and depend on the seed only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Shape = Sequence[int | str | None]


class Builder:
    """Collects nodes and weights; every method returns the name of the value that it made."""

    def __init__(self, name: str, seed: int = 0, *, opset: int = 20) -> None:
        self.name = name
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def tensor(self, name: str, value: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def random(self, name: str, *shape: int, fan_in: int | None = None) -> str:
        """A float32 tensor with deviation ``sqrt(2 / fan_in)`` (default: all but the first axis)."""
        fan = math.prod(shape[1:]) if fan_in is None else fan_in
        return self.tensor(name, (self.rng.standard_normal(shape) * math.sqrt(2 / max(fan, 1))).astype(np.float32))

    def node(self, op: str, *inputs: str, name: str, outputs: int = 1, **attributes: Any) -> str:
        """Adds a node; its outputs are ``<name>.out``, ``<name>.out1``, …; returns the first."""
        values = [f"{name}.out{i or ''}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), values, name=name, **attributes))
        return values[0]

    def conv(self, x: str, name: str, shape: Sequence[int], *, bias: bool = True, **attributes: Any) -> str:
        """A convolution with a random weight of ``shape`` [outputs, inputs / groups, *kernel]."""
        operands = [x, self.random(f"{name}.weight", *shape)]
        if bias:
            operands.append(self.random(f"{name}.bias", shape[0], fan_in=50))
        return self.node("Conv", *operands, name=name, kernel_shape=list(shape[2:]), **attributes)

    def batch_norm(self, x: str, name: str, channels: int) -> str:
        names = [
            self.tensor(f"{name}.weight", self.rng.uniform(0.5, 1.5, channels).astype(np.float32)),
            self.random(f"{name}.bias", channels, fan_in=50),
            self.random(f"{name}.running_mean", channels, fan_in=50),
            self.tensor(f"{name}.running_var", self.rng.uniform(0.5, 1.5, channels).astype(np.float32)),
        ]
        return self.node("BatchNormalization", x, *names, name=name, epsilon=1e-5)

    def relu(self, x: str, name: str) -> str:
        return self.node("Relu", x, name=name)

    def linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        weight = self.random(f"{name}.weight", outputs, inputs)
        return self.node("Gemm", x, weight, self.random(f"{name}.bias", outputs, fan_in=50), name=name, transB=1)

    def model(self, *outputs: str, ir_version: int = 10, initialisers_as_inputs: bool = False) -> onnx.ModelProto:
        inputs = list(self.inputs)
        if initialisers_as_inputs:
            inputs += [helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in self.weights]
        values = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self.nodes, self.name, inputs, values, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir_version)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        del model.graph.output[:]
        model.graph.output.extend(inferred.graph.output)
        onnx.checker.check_model(model)
        return model


def _one_conv(
    name: str, channels: int, shape: Sequence[int], size: Sequence[int], **attributes: Any
) -> onnx.ModelProto:
    b = Builder(name)
    x = b.input("x", ["batch", channels, *size])
    return b.model(b.relu(b.conv(x, "conv", shape, **attributes), "relu"))


def strided_conv() -> onnx.ModelProto:
    """3x3 convolution with stride 2 and padding 1."""
    return _one_conv("strided_conv", 3, (8, 3, 3, 3), (9, 11), strides=[2, 2], pads=[1, 1, 1, 1])


def dilated_conv() -> onnx.ModelProto:
    """3x3 convolution with dilation (2, 1)."""
    return _one_conv("dilated_conv", 4, (6, 4, 3, 3), (10, 9), dilations=[2, 1], pads=[2, 1, 2, 1])


def grouped_conv() -> onnx.ModelProto:
    """3x3 convolution in 2 groups."""
    return _one_conv("grouped_conv", 8, (6, 4, 3, 3), (7, 7), group=2, pads=[1, 1, 1, 1])


def depthwise_conv() -> onnx.ModelProto:
    """Depthwise 3x3 convolution, then pointwise, as in MobileNet."""
    b = Builder("depthwise_conv")
    x = b.input("x", ["batch", 6, 8, 8])
    x = b.relu(b.conv(x, "depthwise", (6, 1, 3, 3), group=6, pads=[1, 1, 1, 1], bias=False), "relu1")
    return b.model(b.relu(b.conv(x, "pointwise", (10, 6, 1, 1)), "relu2"))


def asymmetric_conv() -> onnx.ModelProto:
    """Padding that differs on every side, a kernel that is not square, strides that differ."""
    return _one_conv("asymmetric_conv", 3, (5, 3, 3, 2), (9, 8), pads=[0, 1, 2, 0], strides=[2, 1])


def same_upper_conv() -> onnx.ModelProto:
    """auto_pad SAME_UPPER with stride 2 on an even size: one more pad at the end."""
    return _one_conv("same_upper_conv", 3, (4, 3, 3, 3), (8, 8), auto_pad="SAME_UPPER", strides=[2, 2])


def conv_1d() -> onnx.ModelProto:
    """One-dimensional convolutions, the second dilated."""
    b = Builder("conv_1d")
    x = b.input("x", ["batch", 4, 30])
    x = b.relu(b.conv(x, "conv1", (8, 4, 5), strides=[2], pads=[2, 2]), "relu1")
    return b.model(b.conv(x, "conv2", (6, 8, 3), dilations=[2], pads=[1, 3]))


def conv_3d() -> onnx.ModelProto:
    """A three-dimensional convolution."""
    return _one_conv("conv_3d", 2, (4, 2, 2, 3, 3), (4, 6, 5), pads=[0, 1, 1, 1, 1, 1], strides=[1, 2, 1])


def conv_bn_chain() -> onnx.ModelProto:
    """Convolution, batch normalisation, ReLU, twice; average pool, flatten, Gemm."""
    b = Builder("conv_bn_chain")
    x = b.input("x", ["batch", 3, 8, 8])
    x = b.relu(b.batch_norm(b.conv(x, "conv1", (8, 3, 3, 3), bias=False, pads=[1, 1, 1, 1]), "bn1", 8), "relu1")
    x = b.relu(b.batch_norm(b.conv(x, "conv2", (12, 8, 3, 3), strides=[2, 2]), "bn2", 12), "relu2")
    x = b.node("Flatten", b.node("GlobalAveragePool", x, name="pool"), name="flatten")
    return b.model(b.linear(x, "fc", 12, 10))


def residual() -> onnx.ModelProto:
    """Two residual blocks, the second with a strided 1x1 convolution in its shortcut."""
    b = Builder("residual")
    x = b.relu(b.conv(b.input("x", ["batch", 3, 8, 8]), "conv1", (6, 3, 3, 3), pads=[1, 1, 1, 1]), "relu1")
    x = _basic_block(b, x, "block1", 6, 6, stride=1)
    x = _basic_block(b, x, "block2", 6, 10, stride=2)
    x = b.node("Flatten", b.node("GlobalAveragePool", x, name="pool"), name="flatten")
    return b.model(b.linear(x, "fc", 10, 5))


def matmul_3d() -> onnx.ModelProto:
    """Two MatMul layers with bias on a [batch, length, features] input; the length is dynamic."""
    b = Builder("matmul_3d")
    x = b.input("x", ["batch", "length", 12])
    x = b.node("MatMul", x, b.random("w1", 12, 20, fan_in=12), name="matmul1")
    x = b.relu(b.node("Add", x, b.random("b1", 20, fan_in=50), name="add1"), "relu1")
    x = b.node("MatMul", x, b.random("w2", 20, 7, fan_in=20), name="matmul2")
    return b.model(b.node("Add", b.random("b2", 7, fan_in=50), x, name="add2"))


def gemm_variants() -> onnx.ModelProto:
    """Gemm with transposed and plain weights, alpha and beta, without bias, with a constant left operand."""
    b = Builder("gemm_variants")
    x = b.input("x", ["batch", 9])
    x = b.relu(b.linear(x, "transposed", 9, 14), "relu1")
    w, c = b.random("plain.weight", 14, 11, fan_in=14), b.random("plain.bias", 1, 11, fan_in=50)
    x = b.relu(b.node("Gemm", x, w, c, name="plain", alpha=0.5, beta=2.0), "relu2")
    x = b.relu(b.node("Gemm", x, b.random("bare.weight", 6, 11), name="bare", transB=1), "relu3")
    return b.model(b.node("Gemm", b.random("left.weight", 4, 6), x, name="left", transB=1))


def shared_weights() -> onnx.ModelProto:
    """One weight in two convolutions and one in two MatMuls (once transposed through Gemm)."""
    b = Builder("shared_weights")
    x = b.input("x", ["batch", 4, 6, 6])
    w = b.random("w", 4, 4, 3, 3)
    for i in (1, 2):
        x = b.relu(b.node("Conv", x, w, name=f"conv{i}", pads=[1, 1, 1, 1], kernel_shape=[3, 3]), f"relu{i}")
    x = b.node("Flatten", b.node("GlobalAveragePool", x, name="pool"), name="flatten")
    v = b.random("v", 4, 4)
    x = b.node("Tanh", b.node("MatMul", x, v, name="first"), name="tanh")
    return b.model(b.node("Gemm", x, v, name="second"))


def lenet() -> onnx.ModelProto:
    """LeNet-5 on 28x28: convolutions, max pools, Reshape through Shape arithmetic, three Gemm."""
    b = Builder("lenet")
    x = b.input("x", ["batch", 1, 28, 28])
    x = b.relu(b.conv(x, "conv1", (6, 1, 5, 5), pads=[2, 2, 2, 2]), "relu1")
    x = b.node("MaxPool", x, name="pool1", kernel_shape=[2, 2], strides=[2, 2])
    x = b.relu(b.conv(x, "conv2", (16, 6, 5, 5)), "relu2")
    x = b.node("MaxPool", x, name="pool2", kernel_shape=[2, 2], strides=[2, 2])
    rows = b.node("Gather", b.node("Shape", x, name="shape"), b.tensor("zero", _ints(0)), name="rows", axis=0)
    shape = b.node("Concat", rows, b.tensor("rest", _ints(-1)), name="concat", axis=0)
    x = b.node("Reshape", x, shape, name="reshape")
    x = b.relu(b.linear(x, "fc1", 400, 120), "relu3")
    x = b.relu(b.linear(x, "fc2", 120, 84), "relu4")
    return b.model(b.node("Softmax", b.linear(x, "fc3", 84, 10), name="softmax", axis=-1))


def transformer() -> onnx.ModelProto:
    """One encoder block: attention with dynamic MatMuls, LayerNormalization, GELU by Erf."""
    b = Builder("transformer")
    width, heads, x = 16, 2, b.input("x", ["batch", 5, 16])
    norm = _layer_norm(b, x, "norm1", width)
    parts = [_heads(b, b.node("MatMul", norm, b.random(f"{p}.weight", width, width), name=p), p, heads) for p in "qkv"]
    keys = b.node("Transpose", parts[1], name="keys", perm=[0, 1, 3, 2])
    scores = b.node("MatMul", parts[0], keys, name="scores")
    scores = b.node("Div", scores, b.tensor("root", np.float32(math.sqrt(width / heads))), name="scale")
    mixed = b.node("MatMul", b.node("Softmax", scores, name="softmax", axis=-1), parts[2], name="mix")
    mixed = b.node("Transpose", mixed, name="merge", perm=[0, 2, 1, 3])
    mixed = b.node("Reshape", mixed, b.tensor("merged_shape", _ints(0, 0, width)), name="merged")
    x = b.node("Add", x, b.node("MatMul", mixed, b.random("o.weight", width, width), name="o"), name="add1")
    y = b.node("MatMul", _layer_norm(b, x, "norm2", width), b.random("up.weight", width, 32), name="up")
    y = b.node("MatMul", _gelu(b, y), b.random("down.weight", 32, width), name="down")
    return b.model(b.node("Add", x, y, name="add2"))


def two_inputs() -> onnx.ModelProto:
    """Two inputs and two outputs, a fixed batch of 1."""
    b = Builder("two_inputs")
    x, y = b.input("x", [1, 6]), b.input("y", [1, 4])
    joined = b.node("Concat", b.linear(x, "left", 6, 5), b.linear(y, "right", 4, 3), name="join", axis=1)
    return b.model(b.relu(joined, "relu"), b.node("ReduceMean", joined, name="mean", keepdims=1))


def old_opset() -> onnx.ModelProto:
    """Opset 8, IR 3, initialisers among the inputs, a fixed batch of 1, attributes that became operands later."""
    b = Builder("old_opset", opset=8)
    x = b.input("x", [1, 1, 10, 10])
    x = b.conv(x, "conv", (4, 1, 3, 3), bias=False, auto_pad="SAME_UPPER", strides=[1, 1], dilations=[1, 1])
    x = b.relu(b.node("Add", x, b.random("offset", 4, 1, 1, fan_in=50), name="plus"), "relu")
    x = b.node("MaxPool", x, name="pool", kernel_shape=[2, 2], strides=[2, 2], auto_pad="NOTSET", pads=[0, 0, 0, 0])
    x = b.node("Clip", x, name="clip", min=0.0, max=6.0)
    x = b.node("Reshape", x, b.tensor("flat", _ints(1, 100)), name="flatten")
    x = b.node("Unsqueeze", b.node("MatMul", x, b.random("w", 100, 7, fan_in=100), name="times"), name="wide", axes=[2])
    x = b.node("Squeeze", x, name="narrow", axes=[2])
    return b.model(x, ir_version=3, initialisers_as_inputs=True)


def _recurrent(op: str, gates: int, **attributes: Any) -> onnx.ModelProto:
    b = Builder(op.lower())
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    x = b.node("Transpose", b.input("x", ["batch", 5, 6]), name="turn", perm=[1, 0, 2])
    w, r = b.random("W", ways, gates * 4, 6, fan_in=6), b.random("R", ways, gates * 4, 4, fan_in=4)
    bias = b.random("B", ways, gates * 8, fan_in=50)
    y = b.node(op, x, w, r, bias, name=op.lower(), outputs=2, hidden_size=4, **attributes)
    return b.model(b.node("Transpose", y, name="back", perm=[2, 0, 1, 3]), f"{op.lower()}.out1")


def lstm() -> onnx.ModelProto:
    """Both directions, no initial state."""
    return _recurrent("LSTM", 4, direction="bidirectional")


def gru() -> onnx.ModelProto:
    """The reset gate before the product: two matrices for the state."""
    return _recurrent("GRU", 3)


def late_gru() -> onnx.ModelProto:
    """The reset gate behind the product, from the end."""
    return _recurrent("GRU", 3, direction="reverse", linear_before_reset=1)


def rnn() -> onnx.ModelProto:
    """A plain recurrence with another activation."""
    return _recurrent("RNN", 1, activations=["Relu"])


def transposed_conv() -> onnx.ModelProto:
    """Overlapping, dilated, grouped transposed convolutions with padding, of a size that is not known."""
    b = Builder("transposed_conv")
    x = b.input("x", ["batch", 4, "height", 6])
    w = b.random("first.weight", 4, 3, 3, 2, fan_in=20)
    bias = b.random("first.bias", 3, fan_in=50)
    x = b.node("ConvTranspose", x, w, bias, name="first", strides=[2, 1], pads=[1, 0, 0, 1])
    w = b.random("second.weight", 3, 1, 3, 3, fan_in=9)
    y = b.node(
        "ConvTranspose", x, w, name="second", group=3, strides=[2, 2], dilations=[1, 2], output_padding=[1, 1]
    )
    return b.model(y)


def transposed_conv_1d() -> onnx.ModelProto:
    """One axis, a known size."""
    b = Builder("transposed_conv_1d")
    x, w = b.input("x", ["batch", 3, 7]), b.random("up.weight", 3, 2, 4, fan_in=12)
    bias = b.random("up.bias", 2, fan_in=50)
    return b.model(b.node("ConvTranspose", x, w, bias, name="up", strides=[2], pads=[1, 1]))


def einsum() -> onnx.ModelProto:
    """Einstein sums that are matrix products: heads split, heads merged, the weight on the left."""
    b = Builder("einsum")
    x = b.input("x", ["batch", 5, 6])
    x = b.node("Einsum", x, b.random("split", 6, 2, 3, fan_in=6), name="heads", equation="btd,dhe->bhte")
    x = b.node("Einsum", b.random("merge", 4, 2, 3, fan_in=6), x, name="merged", equation="ohe,bhte->bto")
    return b.model(b.node("Einsum", x, b.random("last", 4, 3, fan_in=4), name="last", equation="abc,cd"))


def integers() -> onnx.ModelProto:
    """Products of integers behind a dynamic quantisation, as onnxruntime's quantizer writes them."""
    b = Builder("integers")
    x = b.input("x", ["batch", 2, 5, 5])
    q = b.node("DynamicQuantizeLinear", x, name="quantize", outputs=3)
    w = b.tensor("conv.weight", b.rng.integers(-127, 128, (3, 2, 3, 3)).astype(np.int8))
    zero = b.tensor("conv.zero", np.int8(3))
    y = b.node("ConvInteger", q, w, "quantize.out2", zero, name="conv", pads=[1, 1, 1, 1])
    y = b.node("Mul", b.node("Cast", y, name="float", to=TensorProto.FLOAT), "quantize.out1", name="scaled")
    q = b.node("DynamicQuantizeLinear", b.node("Flatten", y, name="flat"), name="again", outputs=3)
    w = b.tensor("fc.weight", b.rng.integers(0, 256, (75, 4)).astype(np.uint8))
    zeros = b.tensor("fc.zeros", np.array([128, 127, 128, 130], np.uint8))
    y = b.node("MatMulInteger", q, w, "again.out2", zeros, name="fc")
    y = b.node("Cast", y, name="float2", to=TensorProto.FLOAT)
    y = b.node("Mul", y, "again.out1", name="scaled2")
    return b.model(b.node("Mul", y, b.tensor("fc.scale", np.float32(1e-4)), name="small"))


LOOPED = """
<ir_version: 10, opset_import: ["": 20]>
looped (float[batch, 4] x) => (float[batch, 4] y, float[3, batch, 4] all)
<int64 three = {3}, float[4, 4] w = {3, -2, 1, 5, 4, 2, -6, 1, -3, 2, 5, 1, 2, 2, -1, 4}>
{
    y, all = Loop (three, , x) <
        body = step (int64 i, bool going, float[batch, 4] h) =>
        (bool on, float[batch, 4] next, float[batch, 4] seen) {
        on = Identity (going)
        product = MatMul (h, w)
        next = Tanh (product)
        seen = Abs (next)
    }>
}
"""


def looped() -> onnx.ModelProto:
    """A loop that multiplies by the same weight three times."""
    return onnx.parser.parse_model(LOOPED)


BRANCHED = """
<ir_version: 10, opset_import: ["": 20]>
branched (float[batch, 4] x) => (float[batch, 4] y)
<float zero = {0}, bool yes = {1}, float[4, 4] w = {3, -2, 1, 5, 4, 2, -6, 1, -3, 2, 5, 1, 2, 2, -1, 4}>
{
    mean = ReduceMean <keepdims = 0> (x)
    positive = Greater (mean, zero)
    y = If (positive) <
        then_branch = then () => (float[batch, 4] a) {
            a = If (yes) <
                then_branch = inner () => (float[batch, 4] c) { c = MatMul (x, w) },
                else_branch = never () => (float[batch, 4] d) { e = Neg (x)  d = MatMul (e, w) }>
        },
        else_branch = other () => (float[batch, 4] b) { n = Relu (x)  b = MatMul (n, w) }>
}
"""


def branched() -> onnx.ModelProto:
    """A branch chosen at run time, with another inside that is known before; both multiply by the same weight."""
    return onnx.parser.parse_model(BRANCHED)


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    make.__name__: make
    for make in (
        strided_conv,
        dilated_conv,
        grouped_conv,
        depthwise_conv,
        asymmetric_conv,
        same_upper_conv,
        conv_1d,
        conv_3d,
        conv_bn_chain,
        residual,
        matmul_3d,
        gemm_variants,
        shared_weights,
        lenet,
        transformer,
        two_inputs,
        old_opset,
        lstm,
        gru,
        late_gru,
        rnn,
        transposed_conv,
        transposed_conv_1d,
        einsum,
        integers,
        looped,
        branched,
    )
}
"""Small networks by name."""


def resnet18_imagenet(seed: int = 0) -> onnx.ModelProto:
    """ResNet-18 for 224x224 images and 1,000 classes, batch norm folded, random weights.

    Its 21 weight layers are named as in the reference counts: conv1, layer1.0.conv1, …, layer2.0.downsample, …, fc.
    """
    b = Builder("resnet18_imagenet", seed)
    x = b.conv(b.input("x", ["batch", 3, 224, 224]), "conv1", (64, 3, 7, 7), strides=[2, 2], pads=[3, 3, 3, 3])
    x = b.relu(x, "relu")
    x = b.node("MaxPool", x, name="maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    width = 64
    for stage in range(4):
        for block in range(2):
            channels, stride = 64 << stage, 2 if stage and not block else 1
            x = _basic_block(b, x, f"layer{stage + 1}.{block}", width, channels, stride)
            width = channels
    x = b.node("Flatten", b.node("GlobalAveragePool", x, name="avgpool"), name="flatten")
    return b.model(b.linear(x, "fc", 512, 1000))


def inputs_for(model: onnx.ModelProto, batch: int = 2, seed: int = 0, *, length: int = 5) -> dict[str, Array]:
    """Standard normal float32 inputs for ``model``; ``batch`` for the dimension of that name, ``length`` for others."""
    rng = np.random.default_rng(seed)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs: dict[str, Array] = {}
    for value in model.graph.input:
        if value.name not in constants:
            dims = value.type.tensor_type.shape.dim
            shape = [dim.dim_value or (batch if dim.dim_param == "batch" else length) for dim in dims]
            inputs[value.name] = rng.standard_normal(shape).astype(np.float32)
    return inputs


def _ints(*values: int) -> Array:
    return np.array(values, np.int64)


def _basic_block(b: Builder, x: str, name: str, inputs: int, outputs: int, stride: int) -> str:
    """Two 3x3 convolutions and a shortcut, a 1x1 convolution where the shape changes."""
    y = b.conv(x, f"{name}.conv1", (outputs, inputs, 3, 3), strides=[stride, stride], pads=[1, 1, 1, 1])
    y = b.conv(b.relu(y, f"{name}.relu1"), f"{name}.conv2", (outputs, outputs, 3, 3), pads=[1, 1, 1, 1])
    if stride != 1 or inputs != outputs:
        x = b.conv(x, f"{name}.downsample", (outputs, inputs, 1, 1), strides=[stride, stride])
    return b.relu(b.node("Add", y, x, name=f"{name}.add"), f"{name}.relu2")


def _layer_norm(b: Builder, x: str, name: str, width: int) -> str:
    scale = b.tensor(f"{name}.weight", b.rng.uniform(0.5, 1.5, width).astype(np.float32))
    return b.node("LayerNormalization", x, scale, b.random(f"{name}.bias", width, fan_in=50), name=name, axis=-1)


def _heads(b: Builder, x: str, name: str, heads: int) -> str:
    """[batch, length, width] -> [batch, heads, length, width / heads]."""
    shape = b.tensor(f"{name}.shape", _ints(0, 0, heads, -1))
    return b.node(
        "Transpose", b.node("Reshape", x, shape, name=f"{name}.split"), name=f"{name}.heads", perm=[0, 2, 1, 3]
    )


def _gelu(b: Builder, x: str) -> str:
    erf = b.node("Erf", b.node("Div", x, b.tensor("root2", np.float32(math.sqrt(2))), name="gelu.div"), name="gelu.erf")
    half = b.node("Mul", x, b.tensor("half", np.float32(0.5)), name="gelu.half")
    return b.node("Mul", half, b.node("Add", erf, b.tensor("one", np.float32(1)), name="gelu.add"), name="gelu.mul")
