"""Conformance cases of supported operators that do not pass, each with its reason."""

_DRAWS = "dropout in training mode: the expected values are NumPy's random draws, which no other runtime reproduces"

EXCEPTIONS: dict[str, str] = {
    "test_training_dropout": _DRAWS,
    "test_training_dropout_default": _DRAWS,
    "test_training_dropout_default_mask": _DRAWS,
    "test_training_dropout_mask": _DRAWS,
    "test_scan_sum": "Scan as it was in opset 8 alone, with a batch axis: no exporter writes it; refused",
    "test_attention_4d_causal_fp16_expanded": "float16: two of 192 results are one unit in the last place beyond 1e-3",
}
"""Name of the case -> why it is not expected to pass."""
