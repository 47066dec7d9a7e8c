"""The error family: what `str` gives, and that it crosses process borders."""

import pickle

from pinat_compile import errors
from pinat_compile.errors import DataError, PinatError


def test_message_and_hint() -> None:
    error = DataError("data 'x': there is no such file", hint="give FILE.npz")
    assert (error.message, error.hint) == ("data 'x': there is no such file", "give FILE.npz")
    assert str(error) == "data 'x': there is no such file\n  hint: give FILE.npz"
    assert str(PinatError("alone")) == "alone"


def test_errors_survive_pickling() -> None:
    copy = pickle.loads(pickle.dumps(DataError("where", hint="what to try")))
    assert type(copy) is DataError and (copy.message, copy.hint) == ("where", "what to try")


def test_one_family() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) == 10 and all(issubclass(kind, PinatError) and kind.__doc__ for kind in kinds)


def test_a_missing_extra_is_named() -> None:
    error = errors.extra_needed("a plot", "matplotlib", "plots")
    assert (error.message, error.hint) == ("a plot needs matplotlib", "pip install 'pinat-compile[plots]'")
