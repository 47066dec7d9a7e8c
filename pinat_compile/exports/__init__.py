"""What leaves the tool: plain ONNX, conductances to program a chip with, netlists for circuit simulators."""

from pinat_compile.exports.conductances import write_conductances as write_conductances
from pinat_compile.exports.network import export as export
from pinat_compile.exports.network import write_annotated as write_annotated
from pinat_compile.exports.tile import write_netlist as write_netlist
