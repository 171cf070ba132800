"""timm networks and the demo's small ResNet, by value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from gatekeeper.classifiers.timm import SMALL_RESNET, TimmClassifier, small_resnet
from gatekeeper.classifiers.weights import save_safetensors
from gatekeeper.errors import DataError, InputError
from tests.contracts.classifier import MEAN, STD, ClassifierContract

NAMES = ("ant", "bee", "cat")
DECLARED = {"size": 16, "mean": [0.5] * 3, "std": [0.25] * 3}


def settled(network: nn.Module, seed: int = 5) -> nn.Module:
    """The network in evaluation mode with weights and statistics as if it had been trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values in (module.weight, module.running_var):
                    values.uniform_(0.5, 1.5, generator=generator)
                for values in (module.bias, module.running_mean):
                    values.uniform_(-0.3, 0.3, generator=generator)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
    return network.eval()


def stored(network: nn.Module, folder: Path, nudge: float = 0.0) -> Path:
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    next(iter(state.values())).view(-1)[0] += nudge
    path = folder / "weights.safetensors"
    save_safetensors(state, path)
    return path


class TestSmallResnet(ClassifierContract):
    size = (16, 16)
    n_features = 8 + 8 + 10 + 12 + 14
    widths = (8, 10, 12, 14)

    def network(self):
        with torch.random.fork_rng():
            return settled(small_resnet(3, widths=self.widths, layers=(1, 1, 1, 1)))

    def build(self, folder, *, mean=MEAN, nudge=0.0):
        return TimmClassifier(
            SMALL_RESNET,
            checkpoint=stored(self.network(), folder, nudge),
            class_names=NAMES,
            kwargs={"widths": list(self.widths), "size": 16, "mean": list(mean), "std": list(STD)},
            device="cpu",
        )

    def by_hand(self, inputs):
        return self.network()(inputs)

    def test_features_are_the_means_of_all_stages(self, classifier, images):
        network = self.network()
        means = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
        with torch.inference_mode():
            value = network.act1(network.bn1(network.conv1((images - means[0]) / means[1])))
            expected = [value.mean((2, 3))]
            for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
                value = stage(value)
                expected.append(value.mean((2, 3)))
        np.testing.assert_allclose(
            classifier.look(images).features, torch.cat(expected, 1).numpy(), atol=1e-5
        )

    def test_the_name_is_the_architecture(self, classifier):
        assert classifier.model_id == SMALL_RESNET


class TestStockNetwork(ClassifierContract):
    size = (32, 32)
    n_features = 32 + 32 + 48 + 192 + 96

    def network(self):
        with torch.random.fork_rng():
            return settled(timm.create_model("test_resnet", num_classes=3))

    def build(self, folder, *, mean=MEAN, nudge=0.0):
        kwargs = {"size": 32, "mean": list(mean), "std": list(STD), "crop_pct": 1.0}
        checkpoint = stored(self.network(), folder, nudge)
        return TimmClassifier(
            "test_resnet", checkpoint=checkpoint, class_names=NAMES, kwargs=kwargs, device="cpu"
        )

    def by_hand(self, inputs):
        return self.network()(inputs)


@pytest.mark.parametrize(
    ("name", "n_features"),
    [
        ("test_convnext", 24 + 32 + 48 + 64),
        ("test_efficientnet", 16 + 24 + 32 + 48 + 64 + 256),  # penultimate is a layer further on
        ("test_vit", 6 * 64),
        ("test_vit3", 6 * 96),  # nine blocks, of which six are taken
        ("levit_128s", 128 + 256 + 384),  # two heads: no one penultimate layer
    ],
)
def test_other_families_give_their_own_logits_and_features_in_one_pass(name, n_features):
    classifier = TimmClassifier(name, checkpoint=None, class_names=NAMES, device="cpu")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(name, num_classes=3).eval()
    height, width = classifier.preprocessing.size
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = network(classifier.preprocessing.apply(images)).numpy()
    look = classifier.look(images)
    np.testing.assert_allclose(look.logits, expected, atol=1e-5)
    assert look.features.shape == (2, n_features)


def test_the_first_convolution_runs_once_per_look():
    classifier = TimmClassifier("test_vit", checkpoint=None, class_names=NAMES, device="cpu")
    calls = []
    for module in classifier._network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda m, _i, _o: calls.append(m))
    classifier.look(torch.rand(2, 3, 160, 160))
    assert len(calls) == len(set(calls)) > 20


def test_preprocessing_is_the_models_own_unless_declared():
    own = TimmClassifier("test_vit", checkpoint=None, class_names=NAMES, device="cpu")
    expected = timm.get_pretrained_cfg("test_vit")
    assert own.preprocessing.size == (160, 160)
    assert own.preprocessing.mean == expected.mean == (0.5, 0.5, 0.5)
    assert own.preprocessing.std == expected.std
    assert own.preprocessing.crop_pct == expected.crop_pct == 0.95
    assert own.preprocessing.interpolation == expected.interpolation == "bicubic"
    declared = TimmClassifier(
        "test_vit",
        checkpoint=None,
        class_names=NAMES,
        kwargs={"mean": [0.1, 0.2, 0.3], "crop_pct": 1.0},
        device="cpu",
    )
    assert declared.preprocessing.mean == (0.1, 0.2, 0.3)
    assert declared.preprocessing.crop_pct == 1.0
    assert declared.preprocessing.std == expected.std
    assert declared.digest != own.digest


def test_untrained_networks_say_so_and_are_the_same_each_time():
    first = TimmClassifier(SMALL_RESNET, checkpoint=None, class_names=NAMES, kwargs=DECLARED)
    torch.manual_seed(1)
    again = TimmClassifier(SMALL_RESNET, checkpoint=None, class_names=NAMES, kwargs=DECLARED)
    assert first.model_id == "gatekeeper_small_resnet-untrained"
    assert again.digest == first.digest
    named = TimmClassifier(
        SMALL_RESNET, checkpoint=None, class_names=NAMES, kwargs=DECLARED, model_id="mine"
    )
    assert named.model_id == "mine"


def test_digest_sees_options_that_no_weight_shows():
    common = {"checkpoint": None, "class_names": NAMES, "device": "cpu"}
    plain = TimmClassifier("test_vit", **common)
    other = TimmClassifier("test_vit", **common, kwargs={"global_pool": "avg", "fc_norm": False})
    assert plain.digest != other.digest
    assert TimmClassifier("test_vit", **common, bf16=True).digest != plain.digest


def test_small_resnet_keeps_small_images_large():
    network = small_resnet(10)
    sizes = []
    for stage in (network.maxpool, network.layer1, network.layer4):
        stage.register_forward_hook(lambda _m, _i, out: sizes.append(tuple(out.shape[1:])))
    network.eval()(torch.zeros(1, 3, 28, 28))
    assert sizes == [(16, 28, 28), (16, 28, 28), (64, 4, 4)]
    assert [tuple(p.shape) for p in network.conv1.parameters()] == [(16, 3, 3, 3)]
    assert network.fc.out_features == 10


def test_small_resnet_learns():
    torch.manual_seed(0)
    network = small_resnet(2, widths=(4, 4, 4, 4))
    images = torch.rand(32, 3, 16, 16) * 0.2
    labels = torch.arange(32) % 2
    images[labels == 1, :, :8] += 0.5
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(15):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()
    assert loss < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (16, 32, 64)}, "four positive widths"),
        ({"layers": (1, 1, 1)}, "four positive layers"),
        ({"widths": (16, 32, 64, 0)}, "four positive widths"),
        ({"widths": (15, 32, 64, 64)}, "even first width, got 15"),
        ({"num_classes": 1}, "at least two classes"),
    ],
)
def test_wrong_small_resnets_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        small_resnet(**{"num_classes": 10, **options})


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("test_resnett", {}, "got 'test_resnett'; did you mean .*test_resnet"),
        ("gatekeeper_smal_resnet", {}, "did you mean gatekeeper_small_resnet"),
        ("hf-hub:timm/resnet18.a1_in1k", {}, "expected a timm architecture"),
        ("local-dir:anything", {}, "expected a timm architecture"),
        ("test_resnet", {"pretrained": True}, "got pretrained: give local weights"),
        ("test_resnet", {"checkpoint_path": "w.pth"}, "got checkpoint_path"),
        ("test_resnet", {"num_classes": 4}, "got num_classes"),
        ("test_resnet", {"depht": 3}, "options that test_resnet takes, got depht"),
        ("test_resnet", {"crop_mode": "border"}, "center or squash, got 'border'"),
        (
            "vit_tiny_patch16_224",
            {"size": 96},
            r"takes images of \(96, 96\) px, got AssertionError",
        ),
        (SMALL_RESNET, {}, "size, mean and std"),
        (SMALL_RESNET, {**DECLARED, "width": [8] * 4}, "got width"),
    ],
)
def test_wrong_names_and_options_are_refused(name, kwargs, message):
    with pytest.raises(InputError, match=message):
        TimmClassifier(name, checkpoint=None, class_names=NAMES, kwargs=kwargs, device="cpu")


def test_checkpoints_that_do_not_fit_are_refused(tmp_path):
    path = stored(small_resnet(3), tmp_path)

    def build(checkpoint, class_names=NAMES, **kwargs):
        return TimmClassifier(
            SMALL_RESNET,
            checkpoint=checkpoint,
            class_names=class_names,
            kwargs={**DECLARED, **kwargs},
        )

    build(path)
    with pytest.raises(InputError, match=r"fc.weight \(3, 64\) instead of \(4, 64\).*one class na"):
        build(path, class_names=(*NAMES, "dog"))
    with pytest.raises(InputError, match=r"unexpected: layer1.1.bn1"):
        build(stored(small_resnet(3, layers=(2, 1, 1, 1)), tmp_path))
    with pytest.raises(InputError, match=r"gatekeeper data import-weights net\.pth"):
        build(tmp_path / "net.pth")
    with pytest.raises(DataError, match="no such file"):
        build(tmp_path / "net.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = stored(small_resnet(3), tmp_path, nudge=float("nan"))
    with pytest.raises(InputError, match="finite logits"):
        TimmClassifier(SMALL_RESNET, checkpoint=path, class_names=NAMES, kwargs=DECLARED)


def test_bfloat16_stays_close_and_returns_float32(tmp_path):
    path = stored(settled(small_resnet(3)), tmp_path)
    common = {"checkpoint": path, "class_names": NAMES, "kwargs": DECLARED, "device": "cpu"}
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    exact = TimmClassifier(SMALL_RESNET, **common).look(images)
    fast = TimmClassifier(SMALL_RESNET, **common, bf16=True).look(images)
    assert fast.logits.dtype == fast.features.dtype == np.float32
    difference = np.abs(fast.logits - exact.logits).max() / np.abs(exact.logits).max()
    assert 0 < difference < 0.05
