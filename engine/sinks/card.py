"""README.md of a finished set: the card that the Hugging Face Hub shows, and what tells `datasets.load_dataset(OUT)`
which files are the pairs. Without it, `datasets` would take every image below OUT for an example of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..artefact import write_bytes_atomic
from ..objects import Out
from ..plan import Plan
from .metadata import FLAT
from .roles import ROLES

if TYPE_CHECKING:
    from . import Output

README = "README.md"
OURS = "<!-- Written by degrade-engine. A run replaces this file as long as this line is in it. -->"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
          (10**8, "10M<n<100M"))  # fmt: skip
_LAYOUT = {
    "folder": "`gt/` and `lq/` hold image files with the same names. `metadata.jsonl` pairs them.",
    "webdataset": "`webdataset/` holds tars with `STEM.gt.{0}`, `STEM.lq.{0}` and `STEM.json` of each pair.",
    "parquet": "`parquet/` holds Parquet files: the columns `gt` and `lq` are images, `manifest` is a pair's record.",
    "lmdb": "`gt.lmdb` and `lq.lmdb` hold the images by name, for BasicSR. `datasets` does not read LMDB.",
}


def write(out: Out, output: Output, plan: Plan, page: Mapping[str, Any]) -> None:
    """Put the card of a finished run there, unless somebody has made it theirs. page: of run.json. Raises OSError."""
    size, scale = plan.lr_size, plan.options.scale
    sharp = f"HR of {size * scale} x {size * scale} pixels and " if output.gt != "none" else ""
    made = (
        f"{sharp}LR of {size} x {size} pixels, 8-bit sRGB, scale {scale}. Made by degrade-engine from {len(plan.hr)} "
        f"photographs{_how(plan, page)}, seed {plan.options.seed}."
    )
    put(out, output, page["pairs"], made, [page["licence"]] if page.get("licence") else [])


def put(out: Out, output: Output, pairs: int, made: str, licences: Sequence[str] = ()) -> None:
    """The same of any set. made: what the pairs are; licences: of the weights that made them."""
    path = out / README
    if not path.exists() or OURS.encode() in path.read_bytes():
        write_bytes_atomic(path, card(output, pairs, made, licences).encode())


def card(output: Output, pairs: int, made: str, licences: Sequence[str]) -> str:
    """Its text. Nothing in it depends on when or where the set was made."""
    layout = _LAYOUT[output.kind].format(output.file_format)
    if output.gt == "none":
        layout = "`lq/` holds image files. `metadata.jsonl` says which crop of which photograph each one shows."
    return "\n".join(
        [
            "---",
            "license: unknown",
            "task_categories:",
            "- image-to-image",
            "tags:",
            "- super-resolution",
            "size_categories:",
            f"- {next((word for most, word in _SIZES if pairs < most), '100M<n<1B')}",
            *_configs(output),
            "---",
            OURS,
            "",
            "# Pairs for super-resolution",
            "",
            f"{pairs} pairs: {made}",
            "",
            f"{layout} `manifest.jsonl` says of each pair which crop of which photograph it is, and how its LR was "
            "made. `plan.json` has the settings.",
            "",
            "## Licence",
            "",
            "The pairs show the photographs that they were made of, so the licence of these photographs holds for "
            "them. degrade-engine does not know it: write it here, and in `license` above, before you share the set.",
            *(["", f"Licence of the model's weights: {', '.join(licences)}."] if licences else []),
            "",
        ]
    )


def _configs(output: Output) -> list[str]:
    """What `datasets` reads, and nothing else: extra/ holds images that are no pairs."""
    roles = ("lq",) if output.gt == "none" else ROLES
    ending = output.file_format
    columns: dict[str, str] = {role: "image" for role in roles} | FLAT
    if output.kind == "folder":
        paths = ["metadata.jsonl", *(f"{role}/*.{ending}" for role in roles)]
    elif output.kind == "webdataset":  # without json: the records of two pairs need not have the same fields
        paths, columns = ["webdataset/*.tar"], {f"{role}.{ending}": "image" for role in roles} | {"__key__": "string"}
    elif output.kind == "parquet":
        paths, columns = ["parquet/*.parquet"], columns | {"scale": "int64", "manifest": "string"}
    else:  # of no kind that it knows, so that it says so
        paths, columns = [f"{role}.lmdb/data.mdb" for role in roles], {}
    features = [
        line
        for name, kind in columns.items()
        for line in (f"  - name: {name}", "    list: int64" if kind == "int64s" else f"    dtype: {kind}")
    ]
    return [
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path:",
        *(f"    - {path}" for path in paths),
        *(["dataset_info:", "  features:", *features] if features else []),
    ]


def _how(plan: Plan, page: Mapping[str, Any]) -> str:
    if plan.degrader is not None and not plan.networks:
        return f" by the degradation {plan.degrader.kind}"
    references = f" and {len(plan.reference)} references" if len(plan.reference) else ""
    return f"{references} by an engine, preset {page['preset']}"
