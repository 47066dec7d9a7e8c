"""Modules for networks built by hand: layers on simulated arrays, and stochastic residual layers around them.

    import torch
    from pinat_compile import nn as pn

    block = pn.StochasticResidual(pn.AnalogConv2d(16, 16, 3, padding=1), combine="add")

In training mode an analog layer multiplies on virtual chips of its target; in evaluation mode it is the plain layer of
torch, exact, and is exported as such: what is compiled afterwards is an ordinary ONNX network.
"""

from pinat_compile.nn.layers import AnalogConv2d as AnalogConv2d
from pinat_compile.nn.layers import AnalogLinear as AnalogLinear
from pinat_compile.nn.residual import StochasticResidual as StochasticResidual
