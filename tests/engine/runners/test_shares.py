"""Which shards a process asks for: the first ones when it is alone, others where somebody is at work there; and when
a record's name is enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from degrade_engine.engine.pipeline import records
from degrade_engine.engine.runners.claims import Claims
from degrade_engine.engine.runners.run_folder import RunFolder, open_run
from degrade_engine.engine.runners.shares import Claimed
from degrade_engine.engine.sinks import Output

from .test_growing import plan_of


class Counted:
    """Claims on shards of one run, in memory; counts what was refused."""

    def __init__(self, taken: set[str]) -> None:
        self.taken, self.refused = taken, 0

    def take(self, what: str) -> bool:
        if what in self.taken:
            self.refused += 1
            return False
        self.taken.add(what)
        return True

    def release(self, what: str) -> None:
        self.taken.discard(what)


def together(workers: int, shards: int) -> tuple[list[list[int]], list[Counted]]:
    """The shards that each of so many workers makes, in turns, and their claims."""
    taken, done = set[str](), set[int]()
    claims = [Counted(taken) for _ in range(workers)]
    shares = [Claimed(range(shards), one, lambda shard, sure=False: shard in done) for one in claims]  # type: ignore[arg-type]
    made: list[list[int]] = [[] for _ in shares]
    hand: list[int | None] = [None] * workers
    while len(done) < shards:
        for n, share in enumerate(shares):
            if (shard := hand[n]) is not None:
                done.add(shard)
                made[n].append(shard)
                share.committed(shard)
            hand[n] = share.take()
    return made, claims


def test_alone_it_takes_them_in_order():
    made, (claims,) = together(1, 20)
    assert made == [list(range(20))] and claims.refused == 0


def test_many_take_each_once_and_seldom_meet():
    made, claims = together(32, 640)
    assert sorted(shard for some in made for shard in some) == list(range(640))
    assert all(len(some) > 10 for some in made)
    # Side by side, each would pass over the 31 others' shards for each that it makes: 640 x 31.
    assert sum(one.refused for one in claims) < 640 * 8


def test_a_shard_that_another_holds_is_asked_for_again():
    claims = Counted({"0", "3"})
    share = Claimed(range(5), claims, lambda shard, sure=False: False)  # type: ignore[arg-type]
    found = {share.take() for _ in range(3)}
    assert found == {1, 2, 4} and share.take() is None
    claims.taken.discard("3")  # its process died
    assert share.take() == 3 and share.take() is None


@pytest.fixture
def opened(tmp_path: Path) -> RunFolder:
    """A run with a torn record of shard 1."""
    plan = plan_of(30)
    (tmp_path / "out").mkdir()
    with Claims(tmp_path / "out") as claims:
        open_run(plan, tmp_path / "out", Output(), claims)
        records.shard_path(tmp_path / "out", 1).write_bytes(b"torn")
        return open_run(plan, tmp_path / "out", Output(), claims)


def test_the_name_of_a_record_is_enough_where_there_was_none(opened: RunFolder):
    assert not opened.glance(0) and not opened.glance(1)
    records.shard_path(opened.out, 0).write_bytes(b"by another process")
    assert opened.glance(0) and 0 in opened.done
    assert not opened.glance(1), "a record that was torn at the beginning has to be whole"
