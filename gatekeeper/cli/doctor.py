"""``gatekeeper doctor``: device, versions, limits, what serving needs, self-test."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from gatekeeper.cli.options import add_command

_EXAMPLE = """  gatekeeper doctor
  gatekeeper doctor --json"""

_FAIL = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(
        commands, "doctor", "show device, versions, limits; try out what is needed", _EXAMPLE
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 1 if a check fails or a bundle does not decide its golden set."""
    import torch

    from gatekeeper.cli.doctor_checks import checks, extras, is_bad, memory_mb
    from gatekeeper.demonstration import versions
    from gatekeeper.paths import home, shipped_root
    from gatekeeper.settings import Settings
    from gatekeeper.tracking import TrackingStore

    cuda = torch.cuda.is_available()
    settings = Settings.from_env(os.environ)
    found: dict[str, object] = {
        "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory in MB": memory_mb(),
        "home": str(home()),
        "tracking": TrackingStore.from_environment().shown_uri,
        **{f"service {name}": v for name, v in asdict(settings).items()},
        **{f"extra {name}": state for name, state in extras().items()},
        **{f"version of {name}": version for name, version in versions().items()},
    }
    tried = {f"check: {name}": verdict for name, verdict in checks(settings, home()).items()}
    tried |= {
        f"self-test of {path.parent.name}": _self_test(path)
        for path in _shipped_bundles(shipped_root())
    }
    found |= tried
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        sys.stdout.writelines(f"{key:<32}{value}\n" for key, value in found.items())
    return _FAIL if any(map(is_bad, tried.values())) else 0


def _shipped_bundles(root: Path) -> list[Path]:
    return sorted((root / "calibration").glob("*/bundle"))


def _self_test(bundle: Path) -> str:
    from gatekeeper.errors import GatekeeperError
    from gatekeeper.golden import check_golden

    try:
        check_golden(bundle)
    except GatekeeperError as error:
        return f"failed: {error}"
    return "passed"
