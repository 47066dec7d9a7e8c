"""Reading an ONNX file: every way in which it can fail to be one, and its weights as NumPy arrays."""

from __future__ import annotations

import difflib
import math
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper

from pinat_compile.errors import ModelError
from pinat_compile.frontend.attributes import dtype_name
from pinat_compile.graph.graph import Array

Source = str | Path | bytes | onnx.ModelProto
"""A file, the bytes of one, or the model itself."""

_EXPORT_HINT = "export the network with torch.onnx.export(module, inputs, 'model.onnx')"


def read_model(source: Source) -> tuple[onnx.ModelProto, Path | None]:
    """The model (a copy that may be changed; external data not loaded) and the folder that it stands in."""
    if isinstance(source, onnx.ModelProto):
        model = onnx.ModelProto()
        model.CopyFrom(source)
        return _checked(model, "the model"), None
    if isinstance(source, bytes):
        return _checked(_parse(source, "the model"), "the model"), None
    path = Path(source)
    if not path.exists():
        raise ModelError(f"{path} does not exist", hint=_near_hint(path))
    if path.is_dir():
        raise ModelError(f"{path} is a folder, not an ONNX file", hint=_onnx_files_hint(path))
    if not path.is_file():
        raise ModelError(f"{path} is not a regular file", hint="give the path of an ONNX file")
    try:
        with open(path, "rb") as file:
            if not path.stat().st_size:
                raise ModelError(f"{path} is empty", hint=_EXPORT_HINT)
            with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped, memoryview(mapped) as data:
                return _checked(_parse(data, str(path)), str(path)), path.parent
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None


def _near_hint(path: Path) -> str:
    """The ONNX file of the same folder whose name is nearest."""
    names = sorted(p.name for p in path.parent.glob("*.onnx")) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.with_name(near[0])}?" if near else "give the path of an ONNX file"


def _onnx_files_hint(folder: Path) -> str:
    names = sorted(p.name for p in folder.glob("*.onnx"))[:3]
    return f"name one of its files: {', '.join(names)}" if names else "give the path of an ONNX file"


def _parse(data: bytes | memoryview, where: str) -> onnx.ModelProto:
    if not data:
        raise ModelError(f"{where} is empty", hint=_EXPORT_HINT)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        if data[0] == 0x08:  # field 1, ir_version, with which every ONNX file starts
            raise ModelError(f"{where} is truncated or damaged", hint="copy or export the file again") from None
        raise ModelError(f"{where} is not an ONNX file", hint=_EXPORT_HINT) from None
    return model


def _checked(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    if not model.HasField("graph") or not model.graph.output:
        raise ModelError(f"{where} is not an ONNX network: it has no graph with outputs", hint=_EXPORT_HINT)
    return model


def read_tensor(tensor: TensorProto, folder: Path | None) -> Array:
    """The values of a weight, read from ``folder`` where they are external; NaN and unknown types are refused."""
    try:
        dtype = np.dtype(dtype_name(tensor.data_type))
    except ModelError as error:
        raise ModelError(f"weight {tensor.name!r}: {error.message}", hint=error.hint) from None
    if tensor.data_location == TensorProto.EXTERNAL:
        array = _read_external(tensor, dtype, folder)
    else:
        try:
            array = numpy_helper.to_array(tensor)
        except (ValueError, TypeError):
            dims = list(tensor.dims)
            raise ModelError(
                f"weight {tensor.name!r}: its data does not fill its shape {dims}", hint="copy or export the file again"
            ) from None
    if dtype.kind == "f" and bool(np.isnan(array).any()):
        count = int(np.isnan(array).sum())
        raise ModelError(
            f"weight {tensor.name!r} has {count} values that are not a number", hint="train or export it again"
        )
    return array


def _read_external(tensor: TensorProto, dtype: np.dtype[np.generic], folder: Path | None) -> Array:
    where = f"weight {tensor.name!r}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise ModelError(f"{where} lies in the file {location!r}", hint="give the path of the model, not its bytes")
    path = (folder / location).resolve()
    if not location or Path(location).is_absolute() or not path.is_relative_to(folder.resolve()):
        raise ModelError(
            f"{where}: its data file {location!r} lies outside the model's folder",
            hint="keep the data file beside the model and name it by a relative path",
        )
    if not path.is_file():
        raise ModelError(f"{where}: its data file {location!r} is missing", hint="copy it beside the model")
    offset, shape = _integer(entries.get("offset", "0"), where), tuple(tensor.dims)
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or offset < 0 or offset + size > path.stat().st_size:
        raise ModelError(f"{where}: its data file {location!r} is too short for shape {list(shape)}")
    if not size or offset % dtype.itemsize:
        return np.fromfile(path, dtype=dtype, count=math.prod(shape), offset=offset).reshape(shape)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)  # read where and when it is needed


def _integer(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ModelError(f"{where}: offset {text!r} is not a number") from None


def value_info(name: str, array: Array) -> onnx.ValueInfoProto:
    """The declaration of a value of the type of ``array``."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape))
