"""Every code block of the README that is not marked ``skip`` runs, in order, as a reader would."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from gatekeeper.classifiers import save_safetensors
from gatekeeper.images import load_dataset

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w.-]+\.\w+)\n")
_PER_CLASS = 32


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file that its first line names, if any."""

    language: str
    text: str
    file: str | None


def blocks(text: str) -> list[Block]:
    """The blocks that run or are files, in the order of the page."""
    found = []
    for language, marks, body in _BLOCK.findall(text):
        if language in {"sh", "python", "toml"} and "skip" not in marks.split():
            named = _FILE_NAME.match(body)
            found.append(Block(language, body, named.group(1) if named else None))
    return found


BLOCKS = blocks((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README takes for granted: photos, a .pth, weights of small_net, its ONNX file."""
    folder = tmp_path_factory.mktemp("readme")
    data = load_dataset("digits", announce=lambda line: None)
    taken = dict.fromkeys(range(10), 0)
    rows = []
    for row, label in enumerate(data.labels.tolist()):
        if taken[label] < _PER_CLASS:
            place = folder / "photos" / str(label) / f"{taken[label]}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            pixels = (data.batch(slice(row, row + 1))[0] * 255).round().byte()
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(place)
            taken[label] += 1
            rows.append(row)
    images, labels = data.batch(rows), torch.from_numpy(data.labels[rows])
    net = _trained(_small_net(), (images - 0.5) / 0.5, labels)
    save_safetensors(net.state_dict(), folder / "small_net.safetensors")
    with warnings.catch_warnings():
        # torch's newer exporter needs one more package; the older one warns about its own age.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net,
            (torch.zeros(2, 3, 28, 28),),
            folder / "small_net.onnx",
            dynamo=False,
            input_names=["image"],
            dynamic_axes={"image": {0: "batch"}},
        )
    torch.save(
        timm.create_model("mobilenetv3_small_050", num_classes=10).state_dict(),
        folder / "mobilenet.pth",
    )
    return folder


def _small_net() -> nn.Module:
    """The network of the README, from its own block."""
    source = next(block.text for block in BLOCKS if block.file == "nets.py")
    names: dict[str, object] = {}
    exec(source, names)  # noqa: S102  # the README's own code
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return names["small_net"]()


def _trained(net: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        loss = F.cross_entropy(net(inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


@pytest.mark.parametrize(
    "block", BLOCKS, ids=lambda block: block.file or block.text.partition("\n")[0][:50]
)
def test_block_runs(block: Block, folder: Path, port: int) -> None:
    if block.file is not None:
        (folder / block.file).write_text(block.text, encoding="utf-8")
        return
    if "curl" in block.text and subprocess.run(["which", "curl"], capture_output=True).returncode:
        pytest.skip("there is no curl here")
    command = ["bash", "-euo", "pipefail", "-c", block.text.replace("8080", str(port))]
    if block.language == "python":
        command = [sys.executable, "-c", block.text]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GATEKEEPER_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    _check_output(block.text, done.stdout, folder)


def _check_output(text: str, printed: str, folder: Path) -> None:
    """What the text around the blocks promises."""
    for bundle in re.findall(r"gatekeeper fit \S+ --out (\S+)", text):
        assert (folder / bundle / "bundle" / "MANIFEST.sha256").is_file()
        assert "ERTIF" in printed
    if "decide" in text and "curl" not in text:
        assert "accept" in printed.lower() or "abstain" in printed.lower()
    if "--json" in text:
        assert '"attempts"' in printed
    if "registry" in text:
        assert "models:/gate-my-module/1\tchallenger" in printed
        assert "PASS" in printed
    if "curl" in text:
        assert '"ready"' in printed
        assert '"action"' in printed
        assert "gatekeeper_" in printed


def test_skipped_and_foreign_blocks_are_left_out() -> None:
    text = "```sh skip\nrm\n```\n```text\nx\n```\n```toml\n# a.toml\nb = 1\n```\n"
    assert blocks(text) == [Block("toml", "# a.toml\nb = 1\n", "a.toml")]


def test_the_three_kinds_of_classifier_are_there() -> None:
    recipes = "".join(block.text for block in BLOCKS if block.language == "toml")
    assert [f'kind = "{kind}"' in recipes for kind in ("timm", "module", "onnx")] == [True] * 3
