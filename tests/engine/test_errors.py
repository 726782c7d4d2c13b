import pickle

from degrade_engine.engine.errors import DegradeError


def test_sentences_and_order() -> None:
    error = DegradeError("batch is 0", wanted="at least 1.", mend="pass --batch 1")
    assert str(error) == "batch is 0. Expected: at least 1. Fix: pass --batch 1."
    assert str(DegradeError("it broke")) == "it broke."


def test_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(DegradeError("a", wanted="b", mend="c")))
    assert isinstance(error, DegradeError)
    assert (error.fact, error.wanted, error.mend) == ("a", "b", "c")
