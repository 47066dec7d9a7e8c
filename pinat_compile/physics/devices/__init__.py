"""Devices: what becomes of a target conductance once it is programmed, and how it reads.

Every function is plain torch on tensors of any shape, conductances in µS, times in seconds since programming, and
broadcasts. Randomness comes in as standard draws (normals, uniforms) that the target's parameters only scale: two
severities, two times or two targets see the same chip. ``severity`` multiplies every standard deviation and every
stuck probability. A time left out is the first at which the device is described, ``device.t0_s``.
"""

from pinat_compile.physics.devices.conduction import excess_currents as excess_currents
from pinat_compile.physics.devices.drift import drift_exponent as drift_exponent
from pinat_compile.physics.devices.programming import expected_pulses as expected_pulses
from pinat_compile.physics.devices.programming import programming_sigma_us as programming_sigma_us
from pinat_compile.physics.devices.programming import pulse_counts as pulse_counts
from pinat_compile.physics.devices.programming import write_energy_pj as write_energy_pj
from pinat_compile.physics.devices.read_noise import has_slow_noise as has_slow_noise
from pinat_compile.physics.devices.read_noise import read_variance_us2 as read_variance_us2
from pinat_compile.physics.devices.state import Distribution as Distribution
from pinat_compile.physics.devices.state import Draws as Draws
from pinat_compile.physics.devices.state import Held as Held
from pinat_compile.physics.devices.state import disturb as disturb
from pinat_compile.physics.devices.state import draw_roles as draw_roles
from pinat_compile.physics.devices.state import hold as hold
from pinat_compile.physics.devices.state import sample_conductance as sample_conductance
from pinat_compile.physics.devices.state import stuck_thresholds as stuck_thresholds
