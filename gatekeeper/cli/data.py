"""``gatekeeper data``: fetch a data set, convert foreign weights."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gatekeeper.cli.options import add_command

_EXAMPLE = """  gatekeeper data get fashion-mnist
  gatekeeper data import-weights resnet.pth resnet.safetensors"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command and its verbs."""
    parser = add_command(commands, "data", "fetch a data set or convert foreign weights", _EXAMPLE)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    get = add_command(
        verbs,
        "get",
        "find or fetch a data set",
        "  gatekeeper data get fashion-mnist\n  gatekeeper data get folder:photos --json",
    )
    get.add_argument("name", help="auto, fashion-mnist, digits, digits8, cifar10:PATH, …")
    get.add_argument("--data-dir", type=Path, help="folder to look in first")
    get.add_argument("--json", action="store_true", help="one JSON document")
    get.set_defaults(run=_get)
    convert = add_command(
        verbs,
        "import-weights",
        "convert a .pth file to safetensors",
        "  gatekeeper data import-weights resnet.pth resnet.safetensors",
    )
    convert.add_argument("source", type=Path, metavar="FILE.pth")
    convert.add_argument("target", type=Path, metavar="OUT.safetensors")
    convert.set_defaults(run=_import_weights)


def _get(arguments: argparse.Namespace) -> int:
    from gatekeeper.images import load_dataset

    data = load_dataset(
        arguments.name,
        data_dir=arguments.data_dir,
        announce=lambda line: print(line, file=sys.stderr),  # noqa: T201
    )
    height, width = data.image_size
    if arguments.json:
        body = {
            "name": data.name,
            "n": len(data),
            "image_size": [height, width],
            "class_names": list(data.class_names),
            "source": data.source,
            "licence": data.licence,
        }
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        return 0
    sys.stdout.write(
        f"{data.name}: {len(data)} images of {height}×{width} px in {len(data.class_names)} "
        f"classes; {data.source} Licence: {data.licence}\n"
    )
    return 0


def _import_weights(arguments: argparse.Namespace) -> int:
    from gatekeeper.classifiers import import_weights

    digest = import_weights(arguments.source, arguments.target)
    sys.stdout.write(f"wrote {arguments.target}; digest {digest}\n")
    return 0
