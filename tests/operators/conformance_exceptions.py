"""Conformance cases of supported operators that do not pass, each with its reason."""

_DRAWS = "dropout in training mode: the expected values are NumPy's random draws, which no other runtime reproduces"

_TEXT = "values are text, sequences or optional: none of them can lie on arrays or be computed with; refused by name"
_BF16 = "bfloat16: the expected values round intermediate results at other places; they agree to two units of 2**-8"

EXCEPTIONS: dict[str, str] = {
    "test_training_dropout": _DRAWS,
    "test_training_dropout_default": _DRAWS,
    "test_training_dropout_default_mask": _DRAWS,
    "test_training_dropout_mask": _DRAWS,
    "test_scan_sum": "Scan as it was in opset 8 alone, with a batch axis: no exporter writes it; refused",
    "test_equal_string": _TEXT,
    "test_equal_string_broadcast": _TEXT,
    "test_identity_sequence": _TEXT,
    "test_identity_opt": _TEXT,
    "test_attention_3d_causal_bf16_expanded": _BF16,
    "test_attention_4d_causal_bf16_expanded": _BF16,
    "test_attention_4d_padded_kv_bf16_expanded": _BF16,
    "test_attention_4d_causal_padded_kv_bf16_expanded": _BF16,
    "test_attention_4d_attn_mask_causal_bf16_expanded": _BF16,
    "test_attention_4d_causal_fp16_expanded": "float16: two of 192 results are one unit in the last place beyond 1e-3",
}
"""Name of the case -> why it is not expected to pass."""
