"""The only room that touches ONNX: import, export, and onnxruntime as the reference."""

from pinat_compile.frontend.exporter import serialise, to_model
from pinat_compile.frontend.importer import import_model
from pinat_compile.frontend.reference import Reference, evaluate_constants
from pinat_compile.frontend.structure import export_structure, restore

__all__ = ["Reference", "evaluate_constants", "export_structure", "import_model", "restore", "serialise", "to_model"]
