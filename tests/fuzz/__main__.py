"""Coverage-guided fuzzing, for hours if need be.

    python -m tests.fuzz TARGET [SECONDS] [FOLDER]     # TARGET is decode or v2

What is found to be interesting is kept in FOLDER (runs/fuzz/TARGET), and a run begins with it; an
input that breaks the promise is written there as ``crash-…``. Without atheris, which has no wheel
for every Python, nothing is fuzzed and a sentence says so.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path

TARGETS = {"decode": ("gatekeeper.images", "PIL"), "v2": ("gatekeeper.wire", "gatekeeper.service")}
_LARGEST_INPUT = 8192
_SLOWEST_S = 10
_MOST_MB = 3000


def main(argv: list[str]) -> int:
    """Fuzz one target; the exit code is 0 where nothing was found."""
    if not argv or argv[0] not in TARGETS:
        sys.stderr.write(f"expected a target of {', '.join(TARGETS)}: {__doc__}\n")
        return 2
    name = argv[0]
    seconds = int(argv[1]) if len(argv) > 1 else 60
    folder = Path(argv[2]) if len(argv) > 2 else Path("runs") / "fuzz" / name
    try:
        import atheris
    except ImportError:
        sys.stderr.write("atheris is not installed (not every Python has a wheel): nothing done\n")
        return 0
    with atheris.instrument_imports(include=list(TARGETS[name])):
        target = importlib.import_module(f"tests.fuzz.{name}")
    folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)

    def mutate(data: bytes, max_size: int, _: int) -> bytes:
        changed: bytes = target.mend(atheris.Mutate(data, max_size))
        return changed[:max_size]

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={_LARGEST_INPUT}",
        f"-timeout={_SLOWEST_S}",
        f"-rss_limit_mb={_MOST_MB}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], target.check, custom_mutator=mutate)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
