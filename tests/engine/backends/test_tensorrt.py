"""TensorRT-RTX ahead of time, on a machine without a GPU: parsed, typed, compiled, proved, kept and refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorrt_rtx", reason="needs the extra rtx")  # polygraphy comes with it, and may not be first

from degrade_engine.commands.build import summary
from degrade_engine.engine import artefact, backends, build, engine_spec, spec
from degrade_engine.engine import machine as machines
from degrade_engine.engine.api import Engine  # noqa: E402
from degrade_engine.engine.backends import tensorrt as backend_tensorrt
from degrade_engine.engine.backends import tensorrt_plan as tensorrt  # noqa: E402
from degrade_engine.engine.backends.tensorrt_plan import RTX, PlanProof, compile_plan, parse, prove  # noqa: E402
from degrade_engine.engine.bundle import BUNDLE_JSON, open_bundle
from degrade_engine.engine.eight_bits import add_quantised
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.spec import Precision
from degrade_engine.engine.verify import verify  # noqa: E402
from degrade_engine.kernels import loader  # noqa: E402

NO_GPU = machines.Gpus(reason="no NVIDIA driver is installed")
ADA = machines.Gpus((machines.Gpu("NVIDIA L4", "8.9", 24 << 30),), "580.1", "13.0")
HOPPER = machines.Gpus((machines.Gpu("NVIDIA H100", "9.0", 80 << 30),), "580.1", "13.0")
SMALL: dict[str, Any] = {"lr_size": 16, "batch": 2, "candidates": 2}
AHEAD: dict[str, Any] = {"backend": "tensorrt-rtx", "target": "sm_89"}


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[machines.Gpus], None]:
    """No GPU, wherever the tests run; call it for a machine that has some."""

    def have(found: machines.Gpus) -> None:
        monkeypatch.setattr(machines, "nvidia", lambda: found)

    have(NO_GPU)
    return have


@pytest.fixture(scope="module")
def rtx_engine(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine of a few hundred weights in FP32, to be read only."""
    out = tmp_path_factory.mktemp("rtx") / "engine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machines, "nvidia", lambda: NO_GPU)
        return build.build(tiny_bundle, out, **AHEAD, **SMALL).folder


@pytest.fixture()
def engine(rtx_engine: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(rtx_engine, tmp_path / "engine"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes engine.json and seals it again, as a builder of another release or machine would have."""
    path = folder / engine_spec.ENGINE_JSON
    page = json.loads(path.read_text())
    change(page)
    files = {name: part["files"]["engine"]["sha256"] for name, part in page["parts"].items()}
    page["key_sha256"] = artefact.sha256_json({"key": page["key"], "files": files})
    path.write_text(json.dumps(page))


# ------------------------------------------------------------------------------------------ what is built


def test_the_page_of_an_engine_built_ahead_of_time(tiny_bundle: Path, rtx_engine: Path) -> None:
    page = engine_spec.read_engine_spec(rtx_engine)
    key = page.key
    assert (key.backend, key.target, key.runtime) == ("tensorrt-rtx", "sm_89", "tensorrt-rtx")
    assert key.version == page.tools["tensorrt-rtx"] and key.version.count(".") == 3
    assert (key.gpu, key.cuda, key.driver) == (None, None, None)
    assert key.settings["tf32"] == "false" and key.settings["max_aux_streams"] == "0"
    assert key.files["content"] == artefact.sha256_file(tiny_bundle / "content.onnx")
    assert page.parity.state == "not run" and "no NVIDIA driver" in page.parity.reason
    assert all(plan.half == 0 for plan in page.plans.values()) and page.plans["denoiser"].convolutions == 2
    assert sorted(p.name for p in rtx_engine.iterdir()) == sorted(["engine.json", *(f"{n}.plan" for n in page.parts)])
    assert all(page.plans[n].plan_bytes == part.files["engine"].bytes for n, part in page.parts.items())


def test_the_trained_tiny_bundle(realdgen_bundle: Path, tmp_path: Path) -> None:
    """Every part, in both precisions: the convolutions that export/half.py typed, and their bytes in the plan."""
    sizes: dict[str, Any] = {"lr_size": 64, "batch": 2, "candidates": 3}
    fp16, fp32 = (
        build.build(realdgen_bundle, tmp_path / p, precision=p, **AHEAD, **sizes).spec  # type: ignore[arg-type]
        for p in ("fp16", "fp32")
    )
    assert (fp16.key.precision_asked, fp16.key.precision_computed) == ("fp16", "fp16")
    counts = {name: (plan.half, plan.convolutions) for name, plan in fp16.plans.items()}
    assert counts == {
        "degradation": (34, 39), "content": (6, 8), "modulation": (4, 8), "reconstruction": (4, 7),
        "denoiser": (34, 36),
    }  # fmt: skip
    for name, plan in fp16.plans.items():
        assert plan.found_bytes == plan.half_kernel_bytes > 0.5 * plan.onnx_bytes * (plan.half > 4), name
        assert plan.plan_bytes < fp32.plans[name].plan_bytes, name
    assert all(plan.half == plan.found_bytes == 0 for plan in fp32.plans.values())


@pytest.fixture(scope="module")
def eight_bits(realdgen_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained tiny bundle with its denoiser in INT8 and FP8, to be read only."""
    bundle = tmp_path_factory.mktemp("eight") / "bundle"
    shutil.copytree(realdgen_bundle, bundle)
    add_quantised(bundle, ["int8", "fp8"], lambda line: None)
    return bundle


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_a_denoiser_in_eight_bits(eight_bits: Path, tmp_path: Path, precision: Precision) -> None:
    built = build.build(eight_bits, tmp_path / "engine", precision=precision, **AHEAD, lr_size=64, batch=2)
    key, parts = built.spec.key, open_bundle(eight_bits).spec.parts
    assert (key.precision_asked, key.precision_computed) == (precision, precision)
    counts = {name: (plan.half, plan.quantised) for name, plan in built.spec.plans.items()}
    assert counts == {
        "degradation": (34, 0), "content": (6, 0), "modulation": (4, 0), "reconstruction": (4, 0), "denoiser": (0, 34)
    }  # fmt: skip
    assert key.files["denoiser"] == parts["denoiser"].files[precision].sha256
    assert key.files["content"] == parts["content"].files["fp16"].sha256
    assert built.spec.parity.state == "not run"
    assert f"34 in {precision}" in summary(built)
    assert engine_spec.read_engine_spec(built.folder) == built.spec


def test_a_step_in_eight_bits_moves_no_more_than_it_did(eight_bits: Path) -> None:
    may_not_rise("tiny, INT8", eight_bits / "denoiser.int8.onnx", 9.3e9, 120)
    may_not_rise("tiny, FP8", eight_bits / "denoiser.fp8.onnx", 7.4e9, 135)


def test_eight_bits_need_their_files_and_a_gpu_that_has_them(
    eight_bits: Path, realdgen_bundle: Path, tmp_path: Path
) -> None:
    size: dict[str, Any] = {"lr_size": 64, "batch": 2, "precision": "fp8"}
    with pytest.raises(DegradeError, match=r"no fp8 file of denoiser.*`degrade-engine export --precision fp8`"):
        build.build(realdgen_bundle, tmp_path / "engine", **AHEAD, **size)
    with pytest.raises(DegradeError, match=r"cannot compile.*fp8_e4m3"):
        build.build(eight_bits, tmp_path / "engine", **AHEAD | {"target": "sm_86"}, **size)
    mislabelled = tmp_path / "bundle"
    shutil.copytree(eight_bits, mislabelled)
    page = json.loads((mislabelled / BUNDLE_JSON).read_text())
    files = page["parts"]["denoiser"]["files"]
    files["fp8"] = files["fp16"]
    (mislabelled / BUNDLE_JSON).write_text(json.dumps(page))
    with pytest.raises(DegradeError, match="none of the 36 convolutions of denoiser.fp16.onnx has Q/DQ nodes"):
        build.build(mislabelled, tmp_path / "engine", **AHEAD, **size)
    assert not (tmp_path / "engine").exists()


@pytest.fixture(scope="module")
def paper_unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper preset's U-Net with random weights, FP16-typed: most of the 73.5 M parameters."""
    torch = pytest.importorskip("torch", reason="needs the extra train")
    from degrade_engine.export.bundle import write_onnx
    from degrade_engine.export.half import half_typed
    from degrade_engine.export.kinds.realdgen import HALF
    from degrade_engine.export.kinds.realdgen import parts as realdgen_parts
    from degrade_engine.originals.realdgen.config import PAPER
    from degrade_engine.originals.realdgen.model import RealDGen

    torch.manual_seed(0)
    model = RealDGen(PAPER)
    with torch.no_grad():
        for p in model.unet.parameters():
            if p.ndim > 1 and not p.any():  # zero-initialised: a builder stores such a kernel once
                torch.nn.init.normal_(p, std=0.01)
    part = realdgen_parts(half_typed(model, HALF))["denoiser"]
    path = tmp_path_factory.mktemp("paper") / "denoiser.fp16.onnx"
    write_onnx(part, PAPER.lr_multiple, path, half=True)
    return path


def widened(source: Path, target: Path) -> Path:
    """The same network, typed FP32 throughout."""
    onnx = pytest.importorskip("onnx", reason="needs the extra train")
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    model = onnx.load(source)
    tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute if a.HasField("t"))]
    for tensor in tensors:
        if tensor.data_type == half:
            values = onnx.numpy_helper.to_array(tensor).astype("float32")
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == half:
                attribute.i = single
    onnx.save(model, target)
    return target


def test_the_papers_unet_has_half_the_plan(paper_unet: Path, tmp_path: Path) -> None:
    proofs, plans, networks = [], [], []
    for path in (paper_unet, widened(paper_unet, tmp_path / "denoiser.fp32.onnx")):
        parsed = parse(RTX, path)
        networks.append(parsed)
        shapes = {name: (2, *list(t.shape)[1:2], 64, 64)[: len(t.shape)] for name, t in parsed.inputs().items()}
        plans.append(compile_plan(parsed, RTX, shapes, "sm_89"))
        proofs.append(prove(parsed, plans[-1], path.stat().st_size))
    fp16, fp32 = proofs
    assert fp16.half == fp16.convolutions - 2 and fp32.half == 0  # all but the first and the last
    # The rest is stored some other way.
    assert fp16.half_kernel_bytes > 100e6 and fp16.found_bytes > 0.95 * fp16.half_kernel_bytes
    assert 0.45 < fp16.plan_bytes / fp32.plan_bytes < 0.6, (fp16, fp32)
    assert fp16.smaller and fp16.found
    labelled_fp16 = prove(networks[0], plans[1], 0)
    assert not labelled_fp16.smaller and not labelled_fp16.found  # the classic bug: FP32 weights under an FP16 label
    may_not_rise("paper", paper_unet, 185e9, 275)


def may_not_rise(name: str, file: Path, most_bytes: float, most_kernels: int) -> None:
    """A step's bytes and kernels are within the committed row, and that within what was aimed at."""
    from degrade_engine.bench.gpu.traffic import step_traffic
    from degrade_engine.bench.rows import RESULTS, rows_of

    row = next(row for row in rows_of(RESULTS, "traffic") if row["network"] == name)
    found = step_traffic(file, row["rows"], row["lr_size"], row["target"])
    assert found["bytes"] <= row["bytes"] <= most_bytes and found["kernels"] <= row["kernels"] <= most_kernels, found


def test_a_step_of_the_tiny_model_moves_no_more_than_it_did(root: Path) -> None:
    """Of the file that the package carries."""
    may_not_rise("tiny", root / "originals/bundles/realdgen-tiny/denoiser.fp16.onnx", 7.8e9, 126)


def test_every_target_of_the_installed_version(tiny_bundle: Path, tmp_path: Path) -> None:
    known = tensorrt.targets(tensorrt.load(RTX))
    assert {"sm_75", "sm_80", "sm_86", "sm_89", "sm_120"} <= set(known) and "sm_90" not in known
    plans = set()
    for target in known:
        plan = compile_plan(parse(RTX, tiny_bundle / "content.onnx"), RTX, {"image": (2, 3, 16, 16)}, target)
        assert plan.startswith(RTX.magic)
        plans.add(plan)
    assert len(plans) == len(known)


def test_a_tensor_that_tensorrt_cannot_count_is_refused(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest tensor of the denoiser, wherever it is within the network, and the rows that fit."""
    path, part = tiny_bundle / "denoiser.onnx", open_bundle(tiny_bundle).spec.parts["denoiser"]
    counts = [
        tensorrt.largest(parse(RTX, path), {i.name: i.resolve(rows, 16, 16) for i in part.inputs}) for rows in (4, 8)
    ]
    assert counts[1] == 2 * counts[0] >= 8 * 3 * 16 * 16
    monkeypatch.setattr(backend_tensorrt, "MOST_ELEMENTS", counts[0])
    with pytest.raises(DegradeError, match=r"has a tensor of \d+ elements within.*which 3 rows have.*smaller --batch"):
        build.build(tiny_bundle, tmp_path / "engine", **AHEAD, **SMALL)


def test_the_builders_settings(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polygraphy.backend.trt as polygraphy_trt
    import tensorrt_rtx as trt

    seen: dict[str, Any] = {}

    def spy(network: Any, config: Any, save_timing_cache: Any) -> Callable[[], bytes]:
        made = config(*network[:2])
        seen.update(
            tf32=made.get_flag(trt.BuilderFlag.TF32), streams=made.max_aux_streams, cache=save_timing_cache,
            profiles=made.num_optimization_profiles, level=made.builder_optimization_level,
            targets=made.num_compute_capabilities, target=made.get_compute_capability(0),
            allocation=made.get_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION),
        )  # fmt: skip
        return lambda: b""

    monkeypatch.setattr(polygraphy_trt, "EngineBytesFromNetwork", spy)
    compile_plan(parse(RTX, tiny_bundle / "content.onnx"), RTX, {"image": (2, 3, 16, 16)}, "sm_86")
    assert seen == {
        "tf32": False, "streams": 0, "cache": None, "profiles": 1, "level": 3, "targets": 1,
        "target": trt.ComputeCapability.SM86, "allocation": True,
    }  # fmt: skip


# ------------------------------------------------------------------------------------- what is not built


def relabelled(bundle: Path, out: Path, precision: str) -> Path:
    """A bundle whose file of that precision is its other one: labelled, and not what the label says."""
    shutil.copytree(bundle, out)
    path = out / BUNDLE_JSON
    page = json.loads(path.read_text())
    for part in page["parts"].values():
        part["files"][precision] = part["files"]["fp16" if precision == "fp32" else "fp32"]
    path.write_text(json.dumps(page))
    return out


def test_an_fp32_graph_is_not_sold_as_fp16(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = relabelled(tiny_bundle, tmp_path / "bundle", "fp16")
    with pytest.raises(DegradeError, match=r"none of the 1 convolutions of degradation.onnx is Half"):
        build.build(bundle, tmp_path / "engine", precision="fp16", **AHEAD, **SMALL)
    assert not (tmp_path / "engine").exists()
    with pytest.raises(DegradeError, match="has no fp16 file"):
        build.build(tiny_bundle, tmp_path / "engine", precision="fp16", **AHEAD, **SMALL)


def test_an_fp16_graph_is_not_sold_as_fp32(realdgen_bundle: Path, tmp_path: Path) -> None:
    bundle = relabelled(realdgen_bundle, tmp_path / "bundle", "fp32")
    with pytest.raises(DegradeError, match=r"fp32 was asked for, and 34 of the 39 convolutions"):
        build.build(bundle, tmp_path / "engine", **AHEAD, **{**SMALL, "lr_size": 32})


def test_a_plan_that_proves_nothing_is_refused(
    realdgen_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a builder that ignores the types would make: the same network's FP32 plan."""
    from degrade_engine.engine.backends import tensorrt as backend_tensorrt

    def careless(parsed: Any, flavour: Any, shapes: Any, target: Any, cache: Any) -> bytes:
        honest = parse(flavour, realdgen_bundle / "degradation.fp32.onnx")
        return compile_plan(honest, flavour, shapes, target)

    monkeypatch.setattr(backend_tensorrt, "compile_plan", careless)
    with pytest.raises(DegradeError, match="degradation: the plan cannot be shown to be FP16.*holds 0"):
        build.build(realdgen_bundle, tmp_path / "e", precision="fp16", **AHEAD, **{**SMALL, "lr_size": 32})


def test_what_proves_a_plan() -> None:
    proof = PlanProof(10, 8, half_kernel_bytes=1000, found_bytes=1000, plan_bytes=5000, onnx_bytes=1100)
    assert proof.found and not proof.smaller  # a small network drowns in code
    assert replace(proof, plan_bytes=1999).smaller and not replace(proof, plan_bytes=2000).smaller
    assert not replace(proof, found_bytes=899).found and not replace(proof, half_kernel_bytes=0, found_bytes=0).found


@pytest.mark.parametrize(
    ("found", "options", "said"),
    [
        (NO_GPU, {"backend": "tensorrt-rtx"}, "no --target was given.*sm_75.*sm_80.*sm_86.*sm_89.*sm_120"),
        (NO_GPU, {"backend": "tensorrt-rtx", "target": "sm_90"}, "does not build for sm_90.*Hopper.*sm_75"),
        (HOPPER, {"backend": "tensorrt-rtx"}, "does not build for sm_90"),
        (NO_GPU, {"backend": "tensorrt-rtx", "target": "ada"}, "target is 'ada'"),
        (NO_GPU, {"backend": "tensorrt"}, "tensorrt builds on the GPU that will run the engine.*no NVIDIA driver"),
        (NO_GPU, {"backend": "auto", "target": "sm_89"}, "leave --target out"),
    ],
)
def test_refusals_are_sentences(
    tiny_bundle: Path,
    tmp_path: Path,
    gpus: Callable[[machines.Gpus], None],
    found: machines.Gpus,
    options: dict,
    said: str,
) -> None:
    gpus(found)
    with pytest.raises(DegradeError, match=said) as error:
        build.build(tiny_bundle, tmp_path / "engine", **options, **SMALL)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_classic_tensorrt_needs_its_gpu(monkeypatch: pytest.MonkeyPatch, gpus: Callable[[machines.Gpus], None]) -> None:
    monkeypatch.setattr(machines, "version_of", lambda name: "11.1.0.106")
    monkeypatch.setattr(machines, "load_error", lambda module: "")
    monkeypatch.setattr(loader, "cuda_status", lambda: loader.Status(Path("a.fatbin"), ""))
    classic = backends.named("tensorrt")
    with pytest.raises(DegradeError, match="builds on the GPU that will run the engine.*no NVIDIA driver"):
        classic.accept("fp16", None)
    gpus(HOPPER)
    monkeypatch.setattr(machines, "trial", lambda code: "")
    assert classic.accept("fp16", None).target == "sm_90"
    with pytest.raises(DegradeError, match="target sm_89 was given and the GPU here is sm_90"):
        classic.accept("fp16", "sm_89")
    here = classic.here("sm_90")
    assert (here["gpu"], here["cuda"], here["driver"]) == ("NVIDIA H100", "13.0", "580.1")


def test_the_gpu_that_is_here_is_the_target(gpus: Callable[[machines.Gpus], None]) -> None:
    gpus(ADA)
    rtx = backends.named("tensorrt-rtx")
    assert rtx.accept("fp16", None).target == "sm_89" and not rtx.accept("fp16", "8.9").notes
    assert rtx.here("sm_89")["gpu"] == "NVIDIA L4" and rtx.here("sm_120")["gpu"] is None
    assert "verify" in rtx.accept("fp16", "sm_120").notes[0]
    said = rtx.cannot_run("sm_89")  # as cuda-bindings is there or not
    assert "cuda-bindings not installed: pip install" in said or "NVIDIA driver library" in said
    assert "for sm_120 and the GPU here is NVIDIA L4, sm_89" in rtx.cannot_run("sm_120")


def test_one_flavour_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import polygraphy.config

    monkeypatch.setattr(polygraphy.config, "USE_TENSORRT_RTX", False)
    with pytest.raises(DegradeError, match="already uses TensorRT. Expected: one flavour"):
        tensorrt.load(RTX)


def test_without_the_package_the_extra_is_named(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(DegradeError, match=r"TensorRT-RTX cannot be imported.*degrade-engine\[rtx\]"):
        build.build(tiny_bundle, tmp_path / "engine", **AHEAD, **SMALL)


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "content.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(DegradeError, match="cannot parse content.onnx: ") as error:
        parse(RTX, path)
    assert "\n" not in str(error.value)


def test_shapes_that_the_network_cannot_have(tiny_bundle: Path) -> None:
    with pytest.raises(DegradeError, match="cannot compile the network: ") as error:
        compile_plan(parse(RTX, tiny_bundle / "content.onnx"), RTX, {"image": (2, 4, 16, 16)}, "sm_89")
    assert "\n" not in str(error.value)


# -------------------------------------------------------------------------------------- what is kept


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "foreign"])
def test_a_damaged_plan_is_one_sentence(engine: Path, damage: str) -> None:
    file = engine / "denoiser.plan"
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes({"cut": data[:-9], "flipped": data[:-1] + bytes([data[-1] ^ 1]), "foreign": b"GIF89a"}[damage])
    if damage == "foreign":  # its page knows it, and it still is no plan
        reference = artefact.to_json(spec.file_ref(engine, file.name))
        edit(engine, lambda page: page["parts"]["denoiser"]["files"].update(engine=reference))
    for use in (Engine.open, verify, engine_spec.read_engine_spec):
        with pytest.raises(DegradeError, match="denoiser.plan") as error:
            use(engine)  # type: ignore[operator]
        assert "\n" not in str(error.value)
    if damage == "foreign":
        assert "is no plan of TensorRT-RTX: it begins with b'GIF8'" in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", "1.0.0.21"), ("os", "Windows"), ("machine", "aarch64"), ("settings", {"tf32": "true"}),
     ("driver", "580.1")],
)  # fmt: skip
def test_a_key_that_does_not_fit_is_named_with_both_values(engine: Path, field: str, value: object) -> None:
    edit(engine, lambda page: page["key"].update({field: value}))
    with pytest.raises(DegradeError) as error:
        Engine.open(engine)
    said = str(error.value)
    assert f"{field} was {value!r} when the engine was built" in said and "--rebuild" in said
    if field == "version":
        assert repr(artefact.tool_versions()["tensorrt-rtx"]) in said


def test_it_does_not_run_here_and_says_so(engine: Path, gpus: Callable[[machines.Gpus], None]) -> None:
    for use, said in ((Engine.open, "cannot run here"), (verify, "cannot be verified here")):
        gpus(NO_GPU)
        with pytest.raises(DegradeError, match=f"{said}: there is no NVIDIA GPU here"):
            use(engine)  # type: ignore[operator]
        gpus(ADA)
        with pytest.raises(DegradeError, match=rf"{said}: .*(cuda-bindings not installed|NVIDIA driver library)"):
            use(engine)  # type: ignore[operator]


def test_two_builds_of_one_folder(tiny_bundle: Path, tmp_path: Path) -> None:
    """The second waits for the first, and finds its work done."""
    command = [sys.executable, "-m", "degrade_engine", "build", str(tiny_bundle), "-o", str(tmp_path / "engine"),
               "--backend", "tensorrt-rtx", "--target", "sm_89", "--lr-size", "16", "--batch", "2"]  # fmt: skip
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("is up to date" in text for text in said) == [False, True], said
    assert sorted(path.name for path in tmp_path.iterdir()) == [".engine.lock", "engine"]
    assert engine_spec.read_engine_spec(tmp_path / "engine").key.target == "sm_89"
