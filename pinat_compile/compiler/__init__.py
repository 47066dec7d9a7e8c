"""From a model and a target to a compiled network, on disk and back."""
