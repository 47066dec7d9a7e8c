"""Attributes of ONNX nodes to fields of typed operations, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pinat_compile.errors import ModelError
from pinat_compile.graph.ops import OPS
from pinat_compile.graph.ops.base import Op
from pinat_compile.graph.ops.control import REGIONS
from pinat_compile.graph.ops.creation import ConstantOfShape

OPSET = 20
"""The opset that every model is brought to and that is written."""

_ELEMENT_TYPE_FIELDS = {("Cast", "to"), ("EyeLike", "dtype"), ("QuantizeLinear", "output_dtype")}
"""Fields that hold a NumPy name where ONNX holds the number of an element type."""

_ONNX_NAMES = {"trans_a": "transA", "trans_b": "transB"}
"""Fields whose name differs from the attribute's."""


_PLAIN = {
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
}
"""Element types that NumPy has."""

NARROW = {
    *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("float4_e2m1fn", "int4", "uint4", "int2", "uint2"),
}
"""Element types that few operators take, by the names that ml_dtypes gives them."""


def dtype_name(element_type: int) -> str:
    """The NumPy name of an ONNX element type: 1 -> ``"float32"``; raises ModelError for types that we do not carry."""
    try:
        dtype = helper.tensor_dtype_to_np_dtype(element_type)
    except KeyError:
        raise ModelError(f"element type {element_type} does not exist in this version of onnx") from None
    if dtype.name not in _PLAIN | NARROW:
        name = onnx.TensorProto.DataType.Name(element_type).lower()
        raise ModelError(
            f"element type {name} is not supported", hint="export with integers and floats of 8 to 64 bits"
        )
    return dtype.name


def element_type(dtype: str) -> int:
    """The ONNX element type of a NumPy name: ``"float32"`` -> 1."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def op_of(node: onnx.NodeProto, opset: int) -> Op:
    """The typed operation of ``node``. Attributes that our class lacks must have their default."""
    cls = OPS[node.op_type]
    known = {field.name: field for field in fields(cls)}
    values: dict[str, Any] = {}
    for attribute in node.attribute:
        name = _snake(attribute.name)
        if name in REGIONS.get(cls, ()):
            continue
        if name not in known:
            _refuse_unless_default(node, attribute, opset)
        elif cls is ConstantOfShape:
            values |= _fill(attribute.t)
        else:
            values[name] = _value(node, name, str(known[name].type), attribute)
    missing = [name for name, field in known.items() if field.default is MISSING and name not in values]
    if missing:
        raise ModelError(f"node {node.name!r} ({node.op_type}): attribute {', '.join(missing)} is missing")
    return cls(**values)


def attributes_of(op: Op) -> Mapping[str, Any]:
    """The ONNX attributes of ``op``: what is ``None`` or empty is left out."""
    if isinstance(op, ConstantOfShape):
        return {"value": numpy_helper.from_array(np.array([op.value], op.dtype))}
    attributes: dict[str, Any] = {}
    for field in fields(op):
        value = getattr(op, field.name)
        if value is None or value == () or _is_newer_default(op, field):
            continue
        if (op.type_name(), field.name) in _ELEMENT_TYPE_FIELDS:
            value = element_type(value)
        wide = str(field.type).startswith("float")
        attributes[_ONNX_NAMES.get(field.name, field.name)] = float(value) if wide else value
    return attributes


def _is_newer_default(op: Op, field: Field[Any]) -> bool:
    """Whether a field is at its default and stands for an attribute that the operator did not have yet."""
    name = _ONNX_NAMES.get(field.name, field.name)
    return getattr(op, field.name) == field.default and name not in _attributes_in_opset(op.type_name())


@cache
def _attributes_in_opset(operator: str) -> frozenset[str]:
    return frozenset(onnx.defs.get_schema(operator, OPSET).attributes)


def _snake(name: str | bytes) -> str:
    if isinstance(name, bytes):  # what protobuf gives where it is not valid text
        raise ModelError(f"the model is damaged: attribute {name!r} is not text", hint="copy or export the file again")
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


def _value(node: onnx.NodeProto, name: str, expected: str, attribute: onnx.AttributeProto) -> Any:
    """The value of an attribute for a field declared as ``expected``; ModelError where the file has another kind."""
    kind = attribute.type
    if kind == onnx.AttributeProto.INT and (node.op_type, name) in _ELEMENT_TYPE_FIELDS:
        return dtype_name(attribute.i)
    if kind == onnx.AttributeProto.INT and expected.startswith("int"):
        return int(attribute.i)
    if kind == onnx.AttributeProto.FLOAT and expected.startswith("float"):
        return _shortest(attribute.f)
    if kind == onnx.AttributeProto.STRING and expected.startswith("str"):
        return attribute.s.decode()
    if kind == onnx.AttributeProto.INTS and expected == "Ints":
        return tuple(int(value) for value in attribute.ints)
    if kind == onnx.AttributeProto.FLOATS and expected == "Floats":
        return tuple(_shortest(value) for value in attribute.floats)
    if kind == onnx.AttributeProto.STRINGS and expected == "Strs":
        return tuple(value.decode() for value in attribute.strings)
    raise ModelError(f"node {node.name!r} ({node.op_type}): attribute {attribute.name} is of the wrong kind")


def _shortest(value: float) -> float:
    """The shortest decimal that is the same float32: 0.1, where the file's float32 reads as 0.10000000149."""
    return float(str(np.float32(value)))


def _fill(tensor: onnx.TensorProto) -> dict[str, Any]:
    array = numpy_helper.to_array(tensor)
    return {"value": array.reshape(-1)[0].item(), "dtype": dtype_name(tensor.data_type)}


def _refuse_unless_default(node: onnx.NodeProto, attribute: onnx.AttributeProto, opset: int) -> None:
    schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    declared = schema.attributes.get(attribute.name)
    value = helper.get_attribute_value(attribute)
    if declared is not None and declared.default_value.name:
        if helper.get_attribute_value(declared.default_value) == value:
            return
    raise ModelError(f"node {node.name!r} ({node.op_type}): attribute {attribute.name} = {value!r} is not supported")
