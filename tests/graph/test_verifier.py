"""The verifier: a valid graph passes, and each rule has a graph that breaks it and a message that says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pinat_compile.errors import GraphError
from pinat_compile.graph import Graph, parse, verify

VALID = '''graph "valid"
  input %x: float32[n, 6]
  output %y
  output %t
  tensor %t: int64[1] = [1]
  tensor %w: float32[4, 3]
  tensor %k: float32[8, 3, 1, 2]
  tensor %g4: float32[4]
  tensor %g3: float32[3]
  tensor %g8: float32[8]
  tensor %dac: float32[]
  tensor %adc: float32[2, 2, 2]
  matrix @fc weight="w" view="out_in" rows=3 cols=4
    cells scheme="differential" weight_max=15 cell_max=3 slice_bits=[2, 2]
    cut blocks=1 row_cuts=[0, 2, 3] col_cuts=[0, 2, 4]
    ranges weight_scale="g4" dac_range="dac" adc_range="adc"
  matrix @turned weight="w" view="in_out" rows=4 cols=3
    ranges weight_scale="g3"
  matrix @conv weight="k" view="out_in" rows=6 cols=4 groups=2
    cut blocks=2 row_cuts=[0, 6] col_cuts=[0, 3, 4]
  node "fc" %h: float32[n, 4] = ArrayMvm(%x, %g4, %g4) matrix="fc"
  node "back" %b: float32[n, 3] = ArrayMvm(%h, %g3, %g3) matrix="fc" transpose=true
  node "turned" %i: float32[n, 3] = ArrayMvm(%h, %g3, %g3) matrix="turned"
  node "conv" %c: float32[*] = ArrayMvm(%x, %g8, %g8) matrix="conv" kernel_shape=[1, 2] strides=[1, 1] \
pads=[0, 0, 0, 0] dilations=[1, 1] group=2
  node "if" %y: float32[*], _ = Identity(%h, _)
    region "then"
      input %p: float32[*]
      output %x
      node "inner" %q: float32[*] = Relu(%b)
        region "deep"
          output %p
    region "else"
      output %t
'''

SHAPES: dict[str, tuple[int, ...]] = {
    "w": (4, 3), "k": (8, 3, 1, 2), "g4": (4,), "g3": (3,), "g8": (8,), "dac": (), "adc": (2, 2, 2),
}


def contents(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}


def changed(*changes: str) -> Graph:
    """The valid graph with ``"old => new"`` changes of its text."""
    text = VALID
    for change in changes:
        old, new = change.split(" => ")
        assert old in text, old
        text = text.replace(old, new)
    return parse(text, contents(SHAPES))


def test_a_valid_graph_passes() -> None:
    verify(parse(VALID, contents(SHAPES)))


@pytest.mark.parametrize(("changes", "message"), [
    # 1: written once
    (['input %x: => input %x: float32[n, 6]\n  input %x:'], "graph 'valid': 'x' is defined twice"),
    (['input %x: => input %t: float32[n]\n  input %x:'], "graph 'valid': 't' is defined twice"),
    (['%i: float32[n, 3] => %b: float32[n, 3]'], "node 'turned': writes 'b', which is defined already"),
    (['%b: float32[n, 3] => %t: float32[n, 3]'], "node 'back': writes 't', which is defined already"),
    (['%q: float32 => %h: float32'], "node 'inner': writes 'h', which is defined already"),
    (['input %p: => input %x:'], "graph 'then': 'x' is defined twice"),
    (['node "inner" => node "fc"'], "node 'fc': another node, in another region, has that name"),
    # 2: what is read exists
    (['Identity(%h, _) => Identity(%nobody, _)'], "node 'if': reads 'nobody', which nothing defines"),
    (['Relu(%b) => Relu(%nobody)'], "node 'inner': reads 'nobody', which nothing defines"),
    (['output %y => output %nobody'], "graph 'valid': output 'nobody' is defined nowhere"),
    (['          output %p =>           output %nobody'], "graph 'deep': output 'nobody' is defined nowhere"),
    (['Identity(%h, _) => Identity(%q, _)'], "node 'if': reads 'q', which nothing defines"),
    (['    region "else"\n      output %t =>     region "else"\n      output %q'],
     "graph 'else': output 'q' is defined nowhere"),
    # 3: no cycle
    (['ArrayMvm(%x, %g4, %g4) => ArrayMvm(%b, %g4, %g4)'], "graph 'valid' has a cycle: "),
    # 4: MVMs
    (['matrix="turned" => matrix="lost"'], "node 'turned': multiplies by matrix 'lost', which does not exist"),
    (['(%h, %g3, %g3) matrix="turned" => (%h, %g3) matrix="turned"'],
     "node 'turned': an ArrayMvm has 3 operands (x, gain, bias), not 2"),
    (['dilations=[1, 1] group=2 => dilations=[1, 1]'], "node 'conv': group 1, but matrix 'conv' has 2"),
    (['dilations=[1, 1] group=2 => dilations=[1, 1] group=2 transpose=true'],
     "node 'conv': a transposed matrix takes no window"),
    (['(%x, %g4, %g4) => (%x, %g3, %g4)'], "node 'fc': gain 'g3' has shape (3,), not (4,)"),
    (['(%x, %g4, %g4) => (%x, %g4, %g3)'], "node 'fc': bias 'g3' has shape (3,), not (4,)"),
    (['(%x, %g4, %g4) => (%x, %g4, _)'], "node 'fc': its bias '' is not a tensor"),
    (['(%h, %g3, %g3) matrix="turned" => (%h, %b, %g3) matrix="turned"'], "node 'turned': its gain 'b' is not a"),
    ([' transpose=true => '], "node 'back': gain 'g3' has shape (3,), not (4,)"),
    (['strides=[1, 1] => strides=[1]'], "node 'conv': 2 window axes need 2 strides, 2 dilations, 4 pads"),
    (['pads=[0, 0, 0, 0] => pads=[0, 0]'], "node 'conv': 2 window axes need 2 strides, 2 dilations, 4 pads"),
    (['dilations=[1, 1] => dilations=[]'], "node 'conv': 2 window axes need 2 strides, 2 dilations, 4 pads"),
    # 5: matrices
    (['@fc weight="w" => @fc weight="v"'], "matrix 'fc': its weight 'v' is not a tensor"),
    (['@fc weight="w" => @fc weight="k"'], "matrix 'fc': weight 'k' has shape (8, 3, 1, 2), which is not (4, 3)"),
    (['@fc weight="w" => @fc weight="dac"'], "matrix 'fc': weight 'dac' has shape (), which is not (4, 3)"),
    (['view="in_out" rows=4 cols=3 => view="in_out" rows=2 cols=3 groups=2',
      'ArrayMvm(%h, %g3, %g3) matrix="turned" => Relu(%h)'],
     "matrix 'turned': 2 groups need a weight laid out out_in"),
    (['cut blocks=2 => cut blocks=3'], "matrix 'conv': 2 groups do not divide into 3 blocks"),
    (['cut blocks=2 => cut blocks=0'], "matrix 'conv': 2 groups do not divide into 0 blocks"),
    (['cut blocks=2 => cut blocks=1'], "matrix 'conv': row cuts [0, 6] do not cover 0 to 12 in order"),
    (['row_cuts=[0, 2, 3] => row_cuts=[0, 2, 4]'], "matrix 'fc': row cuts [0, 2, 4] do not cover 0 to 3 in order"),
    (['row_cuts=[0, 2, 3] => row_cuts=[1, 2, 3]'], "matrix 'fc': row cuts [1, 2, 3] do not cover 0 to 3 in order"),
    (['row_cuts=[0, 2, 3] => row_cuts=[0, 3, 3]'], "matrix 'fc': row cuts [0, 3, 3] do not cover 0 to 3 in order"),
    (['row_cuts=[0, 2, 3] => row_cuts=[0]'], "matrix 'fc': row cuts [0] do not cover 0 to 3 in order"),
    (['col_cuts=[0, 2, 4] => col_cuts=[0, 3, 2, 4]'], "matrix 'fc': column cuts [0, 3, 2, 4] do not cover 0 to 4"),
    (['weight_scale="g4" => weight_scale="lost"'], "matrix 'fc': range 'lost' is not a tensor"),
    (['weight_scale="g4" => weight_scale="g3"'], "matrix 'fc': range 'g3' has shape (3,), not (4,)"),
    (['dac_range="dac" => dac_range="g4"'], "matrix 'fc': range 'g4' has shape (4,), not ()"),
    (['slice_bits=[2, 2] => slice_bits=[4]'], "matrix 'fc': range 'adc' has shape (2, 2, 2), not (2, 2, 1)"),
    (['    cut blocks=1 row_cuts=[0, 2, 3] col_cuts=[0, 2, 4]\n => '], "matrix 'fc': has an ADC range but no cut or"),
])
def test_each_rule_has_its_message(changes: list[str], message: str) -> None:
    with pytest.raises(GraphError) as caught:
        verify(changed(*changes))
    assert message in caught.value.message
