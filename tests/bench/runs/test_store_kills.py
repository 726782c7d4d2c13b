"""`bench kills --store` finds what it looks for, and says what it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from degrade_engine.bench.runs import store_kills
from degrade_engine.bench.runs.kills import make_works
from degrade_engine.bench.runs.store_kills import StoreCampaign


def test_a_campaign_kills_is_away_and_compares(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_kills, "LONG_S", 1.0)
    work = make_works(tmp_path, root / "samples/hr", root / "samples/reference", None, shards=(6, 0))[0]
    row = StoreCampaign(tmp_path, work, "webdataset", "one process", seed=1, outages=1).run(kills=1)
    assert (row["kills"], row["outages"], row["identical"]) == (1, 1, row["sets"])
    assert row["requests"]["PUT"] > 3 * 6 and row["faults"] and row["store"] == "moto"


def test_a_set_that_differs_is_found(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    work = make_works(tmp_path, root / "samples/hr", root / "samples/reference", None, shards=(2, 0))[0]
    campaign = StoreCampaign(tmp_path, work, "webdataset", "one process", seed=1, outages=0)
    honest = campaign._tree
    monkeypatch.setattr(campaign, "_tree", lambda: honest() | {"webdataset/pairs-00001.tar": b""})
    assert campaign.run(kills=1)["identical"] == 0 and (tmp_path / "webdataset-one-process-differs").is_dir()


def test_the_other_server_is_killed_too(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("localbucket")
    monkeypatch.setattr(store_kills, "LONG_S", 1.0)
    work = make_works(tmp_path, root / "samples/hr", root / "samples/reference", None, shards=(6, 0))[0]
    row = StoreCampaign(tmp_path, work, "webdataset", "one process", seed=1, outages=1, store="localbucket").run(
        kills=1
    )
    assert (row["kills"], row["outages"], row["identical"]) == (1, 1, row["sets"])
    assert row["store"] == "localbucket" and row["left_claims"] == 0
