"""The intermediate representation: typed operations, matrices and regions on a networkx graph, with a text form."""

from pinat_compile.graph.graph import Array as Array
from pinat_compile.graph.graph import Buffers as Buffers
from pinat_compile.graph.graph import Graph as Graph
from pinat_compile.graph.graph import Node as Node
from pinat_compile.graph.graph import Placement as Placement
from pinat_compile.graph.graph import Store as Store
from pinat_compile.graph.matrix import Cells as Cells
from pinat_compile.graph.matrix import Cut as Cut
from pinat_compile.graph.matrix import Matrix as Matrix
from pinat_compile.graph.matrix import Packed as Packed
from pinat_compile.graph.matrix import Ranges as Ranges
from pinat_compile.graph.reader import parse as parse
from pinat_compile.graph.types import TensorType as TensorType
from pinat_compile.graph.verifier import verify as verify
from pinat_compile.graph.writer import dump as dump
