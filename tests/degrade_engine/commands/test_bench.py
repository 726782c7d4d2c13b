"""`degrade-engine bench`: every measurement that it lists is there, and says what is missing."""

import pytest

from degrade_engine import cli
from degrade_engine.commands import bench
from degrade_engine.engine.errors import DegradeError


def test_lists_every_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in (*bench.MEASUREMENTS, "papers"))


@pytest.mark.parametrize("name", [*bench.MEASUREMENTS, *(f"papers {name}" for name in bench.PAPERS)])
def test_each_is_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", *name.split(), "--help"]) == 0
    assert f"bench {name}" in capsys.readouterr().out


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def without(name: str) -> None:
        raise ModuleNotFoundError("No module named 'skimage'", name="skimage")

    monkeypatch.setattr(bench.importlib, "import_module", without)
    with pytest.raises(DegradeError, match=r"bench quality needs the package skimage.*metrics"):
        bench.papers.get_command(None, "quality")  # type: ignore[arg-type, attr-defined]
