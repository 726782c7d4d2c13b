"""Every spelling of group normalisation is the same function."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

import numpy as np  # noqa: E402

from degrade_engine.bench.seconds import spelling  # noqa: E402
from degrade_engine.export.spelled import SpelledGroupNorm  # noqa: E402
from degrade_engine.originals.realdgen.unet import GroupNorm  # noqa: E402


@pytest.mark.parametrize("way", spelling.WAYS)
def test_each_is_the_layer_itself(way: str) -> None:
    """Eight channels in two groups with a mean of their own; the affine form cancels the most."""
    torch.manual_seed(0)
    layer = GroupNorm(2, 8)
    torch.nn.init.normal_(layer.weight), torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 8, 5, 7) + torch.arange(8.0)[:, None, None]
    other = spelling.respelled(torch.nn.Sequential(SpelledGroupNorm(layer)), spelling.WAYS[way])
    assert way == "shipped" or isinstance(other[0], spelling.Other)
    torch.testing.assert_close(other(x), layer(x), rtol=1e-5, atol=1e-5)


def test_ways_are_compared_round_by_round() -> None:
    """A session that does twice the work takes about twice the processor's time; the first is compared with itself."""

    class Session:
        def __init__(self, times: int) -> None:
            self.times = times

        def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            for _ in range(self.times):
                np.sort(feed["x"])
            return [feed["x"] * self.times]

    rows = spelling.compared({"one": Session(1), "four": Session(4)}, {"x": np.random.rand(200_000)}, rounds=5)
    assert [row["name"] for row in rows] == ["one", "four"] and rows[0]["of_shipped"] == 1
    assert 2 < rows[1]["of_shipped"] < 8 and rows[0]["largest_difference"] == 0
    assert rows[1]["largest_difference"] == pytest.approx(3, rel=0.01)
