"""Any torch module as a classifier: by name, by instance, with and without features."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from gatekeeper.classifiers.module import ModuleClassifier
from gatekeeper.classifiers.weights import save_safetensors
from gatekeeper.errors import InputError
from tests.contracts.classifier import MEAN, STD, ClassifierContract

NAMES = ("ant", "bee", "cat")
PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1), "device": "cpu"}
FACTORY = '''
from torch import nn

def tiny(width=4):
    """Batch norm and dropout, so that a forgotten eval() shows."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 3),
    )

class Nets:
    tiny = staticmethod(tiny)

not_a_factory = 3

def not_a_module():
    return "net"
'''


def tiny() -> nn.Sequential:
    """The network of FACTORY, seeded."""
    scope: dict[str, object] = {}
    exec(FACTORY, scope)  # noqa: S102
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = scope["tiny"]()
        nn.init.uniform_(network[1].running_mean, -0.5, 0.5)
        nn.init.uniform_(network[1].running_var, 0.5, 1.5)
    return network


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with a user's module in it."""
    (tmp_path / "users_nets.py").write_text(FACTORY, encoding="utf-8")
    (tmp_path / "users_broken.py").write_text("import no_such_package\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    sys.modules.pop("users_nets", None)


class TestModule(ClassifierContract):
    n_features = 4

    def build(self, folder, *, mean=MEAN, nudge=0.0):
        network = tiny()
        with torch.no_grad():
            network[6].bias[0] += nudge
        return ModuleClassifier(
            network,
            class_names=NAMES,
            mean=mean,
            std=STD,
            size=self.size,
            feature_layer="1",
            device="cpu",
        )

    def by_hand(self, inputs):
        return tiny().eval()(inputs)

    def test_features_are_the_layers_mean_before_the_in_place_layer(self, classifier, images):
        network = tiny().eval()
        mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
        with torch.inference_mode():
            maps = network[1](network[0]((images - mean) / std))
            expected = maps.mean((2, 3)).numpy()
            overwritten = maps.relu().mean((2, 3)).numpy()
        assert np.abs(expected - overwritten).min() > 1e-3
        np.testing.assert_allclose(classifier.look(images).features, expected, atol=1e-5)


class TestModuleByName(ClassifierContract):
    @pytest.fixture(autouse=True)
    def _here(self, here):
        """Build in the user's folder."""

    def build(self, folder, *, mean=MEAN, nudge=0.0):
        state = tiny().state_dict()
        state["6.bias"][0] += nudge
        save_safetensors(state, folder / "w.safetensors")
        return ModuleClassifier(
            "users_nets:tiny",
            checkpoint=folder / "w.safetensors",
            class_names=NAMES,
            mean=mean,
            std=STD,
            size=12,
            device="cpu",
        )

    def by_hand(self, inputs):
        return tiny().eval()(inputs)


class Brightness(nn.Module):
    """Says "bright" where the normalised image is positive on average."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        brightness = inputs.mean((1, 2, 3))
        return torch.stack([-brightness, brightness], dim=1)


def test_a_wrong_mean_costs_accuracy_and_a_wrong_std_scales_the_logits():
    levels = torch.linspace(0.3, 0.7, 20)
    images = levels.view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
    labels = (levels > 0.5).long().numpy()

    def logits(mean, std=0.2):
        classifier = ModuleClassifier(
            Brightness(),
            class_names=("dark", "bright"),
            mean=[mean] * 3,
            std=[std] * 3,
            size=4,
            device="cpu",
        )
        return classifier.look(images).logits

    assert (logits(0.5).argmax(1) == labels).mean() == 1.0
    assert (logits(0.9).argmax(1) == labels).mean() == 0.5
    np.testing.assert_allclose(logits(0.5, std=0.1), 2 * logits(0.5), rtol=1e-5)


def test_the_callers_module_is_left_alone_and_cannot_reach_in():
    network = tiny().train()
    classifier = ModuleClassifier(network, class_names=NAMES, size=12, feature_layer="6", **PLAIN)
    images = torch.rand(2, 3, 12, 12)
    before = classifier.look(images).logits
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not network[6]._forward_hooks
    with torch.no_grad():
        network[6].bias += 1
    np.testing.assert_array_equal(classifier.look(images).logits, before)


def test_features_are_differentiable_in_the_images() -> None:
    """By hand: the mean of (x − 0.5) / 0.2 over 16 pixels, so 1 / (16 · 0.2) each."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    classifier = ModuleClassifier(
        network, class_names=NAMES, size=4, feature_layer="1", mean=[0.5] * 3, std=[0.2] * 3,
        device="cpu",
    )  # fmt: skip
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    features = classifier.features_with_gradient(images)
    np.testing.assert_allclose(
        features.detach(), classifier.look(images.detach()).features, rtol=1e-6
    )
    features[:, 1].sum().backward()
    torch.testing.assert_close(images.grad[:, 1], torch.full((2, 4, 4), 1 / 3.2))
    assert not images.grad[:, [0, 2]].any()


def test_a_network_without_features_says_so() -> None:
    classifier = ModuleClassifier(tiny(), class_names=NAMES, size=12, **PLAIN)
    with pytest.raises(InputError, match="expected a classifier with features"):
        classifier.features_with_gradient(torch.rand(1, 3, 12, 12))


def test_names_and_arguments_of_factories(here):
    plain = ModuleClassifier("users_nets:tiny", class_names=NAMES, size=12, **PLAIN)
    assert plain.model_id == "users_nets:tiny"
    wide = ModuleClassifier(
        "users_nets:Nets.tiny",
        kwargs={"width": 9},
        feature_layer="0",
        class_names=NAMES,
        size=12,
        model_id="wide",
        **PLAIN,
    )
    assert wide.model_id == "wide"
    assert wide.look(torch.rand(1, 3, 12, 12)).features.shape == (1, 9)
    assert str(here) not in sys.path


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("users_nets", "\"package.module:factory\", got 'users_nets'"),
        ("users_nets:", '"package.module:factory"'),
        ("no_such_nets:tiny", "'no_such_nets' to be importable, got No module named"),
        ("users_broken:tiny", "got No module named 'no_such_package': install it"),
        ("users_nets:tinny", "a callable 'tinny' in 'users_nets', got none"),
        ("users_nets:not_a_factory", "a callable 'not_a_factory'"),
        ("users_nets:not_a_module", "to return a torch module, got str"),
    ],
)
def test_factories_that_cannot_be_used_are_refused(spec, message, here):
    path = list(sys.path)
    with pytest.raises(InputError, match=message):
        ModuleClassifier(spec, class_names=NAMES, size=12, **PLAIN)
    assert sys.path == path


def test_the_current_folder_hides_no_installed_module(here, monkeypatch):
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    (here / "tabnanny.py").write_text(FACTORY, encoding="utf-8")
    with pytest.raises(InputError, match="a callable 'tiny' in 'tabnanny'"):
        ModuleClassifier("tabnanny:tiny", class_names=NAMES, size=12, **PLAIN)


class Tokens(nn.Module):
    """Gives (B, N, F), which is neither a map nor a vector."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(2)


class Pair(nn.Module):
    """Gives two things."""

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return inputs, inputs


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (tiny(), {"class_names": (*NAMES, "dog")}, r"shape \(1, 4\), got \(1, 3\)"),
        (tiny(), {"feature_layer": "7"}, "name of a layer as feature_layer, got '7'"),
        (tiny(), {"feature_layer": ""}, "name of a layer"),
        (tiny(), {"kwargs": {"width": 3}}, "kwargs only with a factory's name"),
        (tiny(), {"size": 1}, r"images of \(1, 1\) px, got RuntimeError"),
        (Pair(), {}, "returns a tensor of logits, got tuple"),
        (
            nn.Sequential(Tokens(), nn.Flatten(), nn.Linear(432, 3)),
            {"feature_layer": "0"},
            "layer '0' to give maps",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(5, 3)), {}, r"images of \(12, 12\) px"),
    ],
)
def test_modules_that_do_not_fit_are_refused(network, options, message):
    with pytest.raises(InputError, match=message):
        ModuleClassifier(network, **{"class_names": NAMES, "size": 12, **PLAIN, **options})


def test_near_layers_are_named():
    network = nn.Sequential()
    network.add_module("stem", nn.Conv2d(3, 2, 1))
    network.add_module("head", nn.Sequential(nn.Flatten(), nn.Linear(8, 2)))
    with pytest.raises(InputError, match="got 'stemm'; did you mean stem"):
        ModuleClassifier(network, class_names=NAMES[:2], size=2, feature_layer="stemm", **PLAIN)


def test_options_without_a_json_form_are_refused(here):
    with pytest.raises(InputError, match="options that JSON can hold"):
        ModuleClassifier(
            "users_nets:tiny",
            kwargs={"width": np.int64(4)},
            class_names=NAMES,
            size=12,
            **PLAIN,
        )


def test_digest_sees_the_feature_layer():
    common = {"class_names": NAMES, "size": 12, **PLAIN}
    digests = {
        ModuleClassifier(tiny(), feature_layer=layer, **common).digest for layer in (None, "0", "1")
    }
    assert len(digests) == 3
