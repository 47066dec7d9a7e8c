"""Where units of work run, in this process or on several machines, and where their results are kept."""

from pinat_compile.engines.content import code_digest as code_digest
from pinat_compile.engines.content import digest as digest
from pinat_compile.engines.engine import Engine as Engine
from pinat_compile.engines.engine import InProcess as InProcess
from pinat_compile.engines.engine import Tell as Tell
from pinat_compile.engines.engine import Work as Work
from pinat_compile.engines.engine import engine_for as engine_for
from pinat_compile.engines.store import Store as Store
from pinat_compile.engines.store import store_for as store_for
