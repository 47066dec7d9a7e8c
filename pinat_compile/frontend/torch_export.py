"""From a torch module to ONNX, in memory."""

from __future__ import annotations

import warnings
from typing import Any


def export_module(module: Any, example_inputs: Any) -> bytes:
    """Export ``module``, in evaluation mode, with torch's own exporter; the first axis of every input stays dynamic.

    ``example_inputs`` is one tensor or a tuple of them.
    """
    import torch

    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} if value.ndim else None for value in inputs)
    was_training = module.training
    module.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's advice is about its own options
            program = torch.onnx.export(module, inputs, dynamo=True, dynamic_shapes=shapes, verbose=False)
    finally:
        module.train(was_training)
    assert program is not None
    return bytes(program.model_proto.SerializeToString())
