"""What nature does: devices, wires, converters, optics as torch functions of state and explicit randomness."""

from pinat_compile.physics.crossbar import effective as effective
from pinat_compile.physics.crossbar import program as program
from pinat_compile.physics.devices import sample_conductance as sample_conductance
from pinat_compile.physics.probing import probe as probe
from pinat_compile.physics.reading import read as read
