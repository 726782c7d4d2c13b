"""LWay's equations, each against a closed form, a computation of another kind, or a limit case."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.images import resize_bicubic  # noqa: E402
from degrade_engine.originals.lway import adapt as adapting  # noqa: E402
from degrade_engine.originals.lway.adapt import AdaptOptions, LRTest, adapt, patches_of, prepare, select  # noqa: E402
from degrade_engine.originals.lway.config import PAPER, TINY  # noqa: E402
from degrade_engine.originals.lway.model import LWay, to_lr_size  # noqa: E402
from degrade_engine.originals.lway.perceptual import CONVOLUTIONS, LPIPS, PLACES, open_distance  # noqa: E402
from degrade_engine.originals.lway.wavelet import band_distance, haar, weight_map  # noqa: E402
from degrade_engine.originals.srresnet import SRResNet, SRResNetConfig  # noqa: E402


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    """With no layer left at zero, so that every path counts."""
    generator = torch.Generator().manual_seed(1)
    for p in model.parameters():
        if p.dim() > 1 and not p.detach().any():
            p.data = torch.randn(p.shape, generator=generator) * 0.02
    return model.eval()


@pytest.fixture(scope="module")
def lway() -> LWay:
    torch.manual_seed(0)
    return stirred(LWay(TINY)).requires_grad_(False)  # type: ignore[return-value]


@pytest.fixture
def net() -> SRResNet:
    torch.manual_seed(0)
    return stirred(SRResNet(SRResNetConfig("test", 8, 2)))  # type: ignore[return-value]


def images(count: int, side: int = 48) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (side, side + 8 * i, 3), dtype=np.uint8) for i in range(count)]


# ---- the wavelet ----


def test_haar_is_what_its_orthonormal_matrix_says() -> None:
    """Rows of (1, 1)/√2 and (1, -1)/√2, applied to rows and columns by matrix products."""
    x = random(2, 3, 8, 12)

    def matrix(n: int) -> np.ndarray:
        m = np.zeros((n, n))
        for i in range(n // 2):
            m[i, 2 * i : 2 * i + 2] = m[n // 2 + i, 2 * i] = np.sqrt(0.5)
            m[n // 2 + i, 2 * i + 1] = -np.sqrt(0.5)
        return m

    y = matrix(8) @ x.double().numpy() @ matrix(12).T
    low, details = haar(x)
    np.testing.assert_allclose(low, y[..., :4, :6], atol=1e-6)
    np.testing.assert_allclose(details[:, :, 0], y[..., :4, 6:], atol=1e-6)
    np.testing.assert_allclose(details[:, :, 1], y[..., 4:, :6], atol=1e-6)
    np.testing.assert_allclose(details[:, :, 2], y[..., 4:, 6:], atol=1e-6)
    energy = low.square().sum() + details.square().sum()
    assert energy.item() == pytest.approx(x.square().sum().item(), rel=1e-5), "Parseval"


def test_w_is_the_spread_within_the_blocks_around_a_pixel() -> None:
    """A block's detail energy is Σ(x - mean)² over its four pixels: W by that, in loops, without a wavelet."""
    x = random(1, 3, 7, 9).double().numpy()[0]
    energy = np.zeros((6, 8))
    for i in range(6):
        for j in range(8):
            block = x[:, i : i + 2, j : j + 2].reshape(3, 4)
            energy[i, j] = np.square(block - block.mean(1, keepdims=True)).sum()
    detail = np.zeros((7, 9))
    for i in range(7):
        for j in range(9):
            rows, columns = np.clip([i - 1, i], 0, 5), np.clip([j - 1, j], 0, 7)
            detail[i, j] = np.sqrt(energy[np.ix_(rows, columns)].mean())
    wanted = (detail - detail.min()) / (detail.max() - detail.min())
    np.testing.assert_allclose(weight_map(torch.from_numpy(x)[None].float())[0, 0], wanted, atol=1e-5)


def test_w_of_constant_images_is_zero_and_of_others_goes_from_0_to_1() -> None:
    flat = torch.full((2, 3, 16, 16), 0.3)
    assert not weight_map(flat).any()
    w = weight_map(random(4, 3, 16, 16) * torch.tensor([1.0, 0.1, 0.01, 0.003])[:, None, None, None])
    assert torch.equal(w.amin((1, 2, 3)), torch.zeros(4)) and torch.equal(w.amax((1, 2, 3)), torch.ones(4))


@pytest.mark.parametrize("column", [6, 7])
def test_w_sees_an_edge_between_blocks_as_well_as_one_within(column: int) -> None:
    edge = torch.zeros(1, 3, 16, 16)
    edge[..., column:] = 1
    w = weight_map(edge)[0, 0]
    assert (w[:, column - 1 : column + 1] == 1).all() and not w[:, : column - 1].any()


def test_the_substitute_is_a_distance_of_details_alone() -> None:
    a, b = random(2, 3, 32, 32), random(2, 3, 32, 32, seed=1)
    assert band_distance(a, a).item() == 0
    assert band_distance(a, a + 0.4).item() == pytest.approx(0, abs=1e-6), "brightness is L1's affair"
    assert band_distance(a, b).item() == pytest.approx(band_distance(b, a).item(), rel=1e-6)
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[..., ::2] = 1  # level 1 alone: one band of three is 1 everywhere
    assert band_distance(stripes, torch.zeros_like(stripes)).item() == pytest.approx(1 / 3 / 3)


# ---- LPIPS ----


def files_of(folder: Path, model: LPIPS) -> tuple[Path, Path]:
    """The model's weights under the names that torchvision and lpips give them."""
    backbone = {f"features.{place}.{k}": v for place, convolution in zip(PLACES, model.convolutions, strict=True)
                for k, v in convolution.state_dict().items()}  # fmt: skip
    torch.save(backbone, folder / "alexnet.pth")
    torch.save({f"lin{i}.model.1.weight": w.detach().reshape(1, -1, 1, 1) for i, w in enumerate(model.linear)},
               folder / "alex.pth")  # fmt: skip
    return folder / "alexnet.pth", folder / "alex.pth"


def test_lpips_is_its_equation_1(tmp_path: Path) -> None:
    """Through the files, against a sequence of torch's own layers and loops over places in float64."""
    torch.manual_seed(0)
    model = LPIPS()
    for w in model.linear:
        w.data.uniform_(0, 1)
    name, distance = open_distance(files_of(tmp_path, model))
    assert name == "lpips-alex"
    a, b = random(1, 3, 64, 64), random(1, 3, 64, 64, seed=1)
    layers = []
    for i, (convolution, sizes) in enumerate(zip(model.convolutions, CONVOLUTIONS, strict=True)):
        layers += [torch.nn.MaxPool2d(3, 2)] if i in (1, 2) else []
        layers.append(torch.nn.Conv2d(*sizes[:3], stride=sizes[3], padding=sizes[4]))
        layers[-1].load_state_dict(convolution.state_dict())
        layers.append(torch.nn.ReLU())
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    f, g = (((x.double() - torch.from_numpy(shift)[:, None, None]) / torch.from_numpy(scale)[:, None, None])
            for x in (a, b))  # fmt: skip
    wanted, linear = 0.0, iter(model.linear)
    for layer in layers:
        f, g = layer.double()(f), layer(g)
        if isinstance(layer, torch.nn.ReLU):
            w = next(linear).detach().double().numpy()
            p, q = (x.detach().numpy()[0].reshape(len(w), -1) for x in (f, g))
            at_places = [w @ np.square(u / np.linalg.norm(u) - v / np.linalg.norm(v))
                         for u, v in zip(p.T, q.T, strict=True)]  # fmt: skip
            wanted += np.mean(at_places)
    assert distance(a, b).item() == pytest.approx(wanted, rel=1e-4)
    assert distance(a, a).item() == 0


def test_without_lpips_the_substitute_says_its_name_and_wrong_files_are_refused(tmp_path: Path) -> None:
    assert open_distance(None) == ("haar-l1", band_distance)
    backbone, linear = files_of(tmp_path, LPIPS())
    with pytest.raises(DegradeError, match="not LPIPS's weights"):
        open_distance((linear, backbone))
    linear.write_bytes(b"no weights")
    with pytest.raises(DegradeError, match="alex.pth cannot be read"):
        open_distance((backbone, linear))


# ---- E and R ----


def test_r_brings_hr_to_lr_size_as_the_engine_does() -> None:
    """Pillow's antialiased bicubic, which makes the content of training and generation, to its rounding."""
    hr = images(1, side=64)[0][:64, :64]
    made = to_lr_size(torch.from_numpy(hr).permute(2, 0, 1)[None].float(), (16, 16))[0].permute(1, 2, 0)
    clipped = made.clamp(0, 255).numpy()  # Pillow rounds after each axis
    assert np.abs(clipped - resize_bicubic(hr, (16, 16))).max() < 1.5


def test_an_untrained_r_returns_its_image_and_e_has_512_numbers() -> None:
    torch.manual_seed(0)
    for config in (TINY, PAPER):
        model, lr = LWay(config), random(2, 3, 32, 40)
        e = model.e(lr)
        assert e.shape == (2, 512)
        assert torch.equal(model.r(lr, e, (32, 40)), lr)
        hr = random(2, 3, 64, 80)
        assert torch.equal(model.r(hr, e, (32, 40)), to_lr_size(hr, (32, 40)))


def test_r_follows_its_reference_and_is_differentiable_in_the_hr(lway: LWay) -> None:
    hr = random(2, 3, 64, 64).requires_grad_()
    e = lway.e(torch.cat([random(1, 3, 32, 32, seed=1), 0.1 * random(1, 3, 32, 32, seed=2)]))
    same_content = torch.cat([hr[:1], hr[:1]])
    a, b = lway.r(same_content, e, (32, 32))
    assert (a - b).abs().max() > 1e-4
    lway.r(hr, e, (32, 32))[0].square().sum().backward()
    assert hr.grad is not None and hr.grad[0].any() and not hr.grad[1].any()


# ---- fine-tuning ----


def test_the_last_65_percent_of_the_parameters_move_and_nothing_else(lway: LWay, net: SRResNet) -> None:
    before = {k: v.clone() for k, v in net.named_parameters()}
    frozen = copy.deepcopy(lway.state_dict())
    tests = [prepare(lway, image) for image in images(2)]
    share = adapt(net, lway, tests, AdaptOptions(steps=2, batch=2, crop=40, lr=1e-3), band_distance)
    moved = [k for k, v in net.named_parameters() if not torch.equal(before[k], v)]
    assert moved == list(before)[-len(moved) :]
    count = sum(before[k].numel() for k in moved) / sum(v.numel() for v in before.values())
    biggest = max(v.numel() for v in before.values()) / sum(v.numel() for v in before.values())
    assert share == pytest.approx(count) and abs(count - 0.65) <= biggest / 2
    assert all(torch.equal(frozen[k], v) for k, v in lway.state_dict().items()), "E and R are frozen"


def test_a_big_network_moves_65_percent_to_the_hundredth() -> None:
    layers = torch.nn.Sequential(*(torch.nn.Conv2d(8, 8, 3) for _ in range(200)))
    chosen = sum(p.numel() for p in select(layers, 0.65))
    assert chosen / sum(p.numel() for p in layers.parameters()) == pytest.approx(0.65, abs=0.01)
    with pytest.raises(DegradeError, match="share"):
        select(layers, 0.0)


def test_the_first_step_is_adams(lway: LWay, net: SRResNet) -> None:
    """Adam's first step moves every value by the learning rate, against the sign of its gradient (Kingma and Ba)."""
    tests, before = [prepare(lway, images(1)[0])], copy.deepcopy(net)
    options = AdaptOptions(steps=1, batch=1, crop=48, lr=1e-4, share=1.0)
    adapt(net, lway, tests, options, band_distance)
    losses = adapting.loss(lway, band_distance, before(tests[0].lr), tests[0])
    losses["loss"].backward()
    for p, q in zip(net.parameters(), before.parameters(), strict=True):
        assert q.grad is not None
        clear = q.grad.abs() > 1e-6  # well above Adam's epsilon of 1e-8
        assert torch.allclose((p - q)[clear], -1e-4 * q.grad[clear].sign(), rtol=0.02, atol=2e-8)


def test_where_w_is_0_nothing_is_asked(lway: LWay) -> None:
    """The loss sees the LR through W: a change where W is 0 costs nothing, and no W at all is no loss."""
    test = prepare(lway, images(1)[0])
    left = test.weight.clone()
    left[..., 24:] = 0
    half = LRTest(test.lr, test.e, left)
    sr = random(1, 3, 192, 192).requires_grad_()
    adapting.loss(lway, band_distance, sr, half)["loss"].backward()
    assert sr.grad is not None
    assert sr.grad[..., :64].any() and not sr.grad[..., 184:].any(), "R sees 18 LR pixels far, and the bicubic 2"
    nothing = LRTest(test.lr, test.e, torch.zeros_like(left))
    assert adapting.loss(lway, band_distance, sr, nothing)["loss"].item() == 0


def test_the_loss_is_the_weighted_l1_of_the_paper(lway: LWay) -> None:
    test, sr = prepare(lway, images(1)[0]), random(1, 3, 96, 96)
    made = lway.reconstructor(to_lr_size(sr, (48, 48)), lway.e(test.lr))
    found = adapting.loss(lway, lambda a, b: (a - b).square().sum(), sr, test)
    w, difference = test.weight.double().numpy(), (made - test.lr).detach().double().numpy()
    assert found["l1"].item() == pytest.approx((w * np.abs(difference)).mean(), rel=1e-4)
    assert found["perceptual"].item() == pytest.approx(np.square(w * difference).sum(), rel=1e-4)
    assert found["loss"].item() == pytest.approx(found["l1"].item() + found["perceptual"].item(), rel=1e-6)


def test_patches_lie_where_their_weights_lie_and_images_come_in_turn(lway: LWay) -> None:
    tests = [prepare(lway, image) for image in images(3)]
    options = AdaptOptions(batch=6, crop=40)
    rng = np.random.default_rng(0)
    seen = torch.cat([p.e for p in patches_of(rng, tests, options, multiple=8)])
    counts = [int((seen == t.e).all(1).sum()) for t in tests]
    assert counts == [2, 2, 2]
    for patches in patches_of(rng, tests, options, multiple=8):
        assert patches.lr.shape[2:] == patches.weight.shape[2:] == (40, 40)
        for lr, weight in zip(patches.lr, patches.weight, strict=True):
            found = False
            for t in tests:
                for y in range(t.lr.shape[2] - 39):
                    for x in range(t.lr.shape[3] - 39):
                        there = (..., slice(y, y + 40), slice(x, x + 40))
                        if torch.equal(t.lr[0][there], lr):
                            found = torch.equal(t.weight[0][there], weight)
            assert found


def test_adapting_brings_r_of_the_sr_image_nearer_to_the_lr(lway: LWay, net: SRResNet) -> None:
    tests = [prepare(lway, image) for image in images(2)]
    rows: list[dict[str, float]] = []
    adapt(net, lway, tests, AdaptOptions(steps=10, batch=1, crop=40, lr=5e-3), band_distance, rows.append)
    assert [row["step"] for row in rows] == [*range(1, 11)]
    assert np.mean([row["loss"] for row in rows[-2:]]) < 0.9 * np.mean([row["loss"] for row in rows[:2]])


def test_two_runs_of_one_seed_give_the_same_weights(lway: LWay, net: SRResNet) -> None:
    tests, other = [prepare(lway, image) for image in images(2)], copy.deepcopy(net)
    for one in (net, other):
        adapt(one, lway, tests, AdaptOptions(steps=2, batch=3, crop=40, lr=1e-3), band_distance)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), other.parameters(), strict=True))
