"""How good a compiled network is: accuracy on chips, layer by layer."""

from pinat_compile.evaluation.accuracy import evaluate as evaluate
from pinat_compile.evaluation.batches import outputs_of as outputs_of
from pinat_compile.evaluation.comparing import Comparison as Comparison
from pinat_compile.evaluation.comparing import compare as compare
from pinat_compile.evaluation.deploying import deploy as deploy
from pinat_compile.evaluation.exploring import Exploration as Exploration
from pinat_compile.evaluation.exploring import explore as explore
from pinat_compile.evaluation.result import Evaluation as Evaluation
from pinat_compile.evaluation.result import LayerResult as LayerResult
