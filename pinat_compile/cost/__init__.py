"""What a mapped network costs on a target: frozen `Cost` values that sum with ``+``, and how they come about."""

from pinat_compile.cost.estimate import LayerCost as LayerCost
from pinat_compile.cost.estimate import NetworkCost as NetworkCost
from pinat_compile.cost.estimate import Programmed as Programmed
from pinat_compile.cost.estimate import estimate_network as estimate_network
from pinat_compile.cost.value import Cost as Cost
