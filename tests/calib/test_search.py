"""The search, on errors that are known: quadrature, and layers that overflow."""

from __future__ import annotations

import math
from collections.abc import Collection

import pytest

from degrade_engine.calib.search import finite_or_none, smallest

OWN = {"a": 0.1, "b": 0.9, "c": 0.3, "d": 0.6, "e": 0.05}


def quadrature(islands: Collection[str]) -> float:
    return math.sqrt(sum(v * v for layer, v in OWN.items() if layer not in islands))


def test_nothing_is_chosen_where_nothing_is_needed() -> None:
    found = smallest(quadrature, list(OWN), 2.0)
    assert found.islands == {} and found.own == {}


@pytest.mark.parametrize("bound", [1.0, 0.7, 0.5, 0.2, 0.06, 0.01])
def test_the_largest_come_first_and_each_is_needed(bound: float) -> None:
    found = smallest(quadrature, list(OWN), bound)
    ranked = sorted(OWN, key=OWN.__getitem__, reverse=True)
    assert list(found.islands) == ranked[: len(found.islands)]
    assert quadrature(found.islands) < bound
    for layer, without in found.islands.items():
        assert without == quadrature(set(found.islands) - {layer}) >= bound


def test_what_another_layer_makes_needless_is_dropped() -> None:
    """Two layers that each look large because they carry the same error: one of them is enough."""

    def error(islands: Collection[str]) -> float:
        twins = 0.0 if set(islands) & {"a", "b"} else 1.0
        return twins + 0.1 * len({"c", "d"} - set(islands))

    found = smallest(error, ["a", "b", "c", "d"], 0.15)
    assert error(found.islands) < 0.15 and len(found.islands) == 2
    assert all(without >= 0.15 for without in found.islands.values())


def test_forced_layers_stay_and_first_ones_only_where_they_are_needed() -> None:
    def error(islands: Collection[str]) -> float:
        return math.inf if "d" not in islands else quadrature(islands)

    found = smallest(error, list(OWN), 1.0, forced=["e"], first=["d", "a"])
    assert set(found.islands) == {"e", "d"}
    assert finite_or_none(found.islands["d"]) is None and found.islands["e"] < 1.0
