"""What nature does: devices, wires, converters, optics as torch functions of state and explicit randomness."""

from pinat_compile.physics.devices import sample_conductance as sample_conductance
