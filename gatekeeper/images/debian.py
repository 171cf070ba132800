"""Files out of a Debian package, fetched as an ordinary user without touching the system's apt.

apt is run with its own state, cache and lists in a temporary folder and with a copy of the
distribution's own sources, so neither root nor existing lists are needed. apt checks the archive's
signature as always.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from gatekeeper.errors import DataError

_ETC_APT = Path("/etc/apt")
# Third-party sources are left out: they do not have the package and may hang.
_OWN_SOURCES = ("sources.list", "sources.list.d/debian.sources", "sources.list.d/ubuntu.sources")
_TOOLS = ("apt-get", "dpkg-deb")


def unpack_package(
    package: str, wanted: tuple[str, ...], into: Path, *, time_limit_s: float
) -> None:
    """Fetch a package and put the wanted files of it, by name, into a folder.

    Args:
        package: Name of the package.
        wanted: Names of the files, without folders.
        into: Where to put them; made where it does not exist.
        time_limit_s: For everything together.

    Raises:
        DataError: this system has no apt or no sources, they cannot be reached, the time is up,
            or the package lacks a file.
    """
    tools = {tool: shutil.which(tool) for tool in _TOOLS}
    missing = [tool for tool, path in tools.items() if path is None]
    if missing:
        raise DataError(f"this system has no {' and no '.join(missing)}")
    deadline = time.monotonic() + time_limit_s
    with tempfile.TemporaryDirectory(prefix="gatekeeper-apt-") as name:
        work = Path(name)
        _write_settings(work)
        apt = [str(tools["apt-get"]), "--quiet", "--config-file", str(work / "apt.conf")]
        # Sources that fail are only warned about; whether the package can be had shows next.
        _run([*apt, "update"], work, deadline, must_succeed=False)
        _run([*apt, "download", package], work, deadline)
        packages = sorted(work.glob(f"{package}_*.deb"))
        if not packages:
            raise DataError(f"apt-get fetched no package {package}")
        _run([str(tools["dpkg-deb"]), "-x", str(packages[0]), "unpacked"], work, deadline)
        _keep(work / "unpacked", wanted, into)


def _write_settings(work: Path) -> None:
    sources = work / "sources"
    for folder in ("state/lists/partial", "cache/archives/partial", "log", "sources/parts"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    found = [_ETC_APT / name for name in _OWN_SOURCES if (_ETC_APT / name).is_file()]
    if not found:
        raise DataError(f"this system has no package sources of its own in {_ETC_APT}")
    for path in found:
        shutil.copyfile(path, sources / "parts" / path.name)
    # `#clear` drops the system's hooks, which want to write where only root may.
    (work / "apt.conf").write_text(
        f"""\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::State "{work}/state";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Log "{work}/log";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{sources}/parts";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
""",
        encoding="utf-8",
    )


def _run(command: list[str], work: Path, deadline: float, *, must_succeed: bool = True) -> None:
    """Run a command in ``work`` until it ends or the time is up, with all that it has started."""
    said = work / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - fixed tools, no shell, no words from outside
            command,
            cwd=work,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise DataError(f"the time was up during {Path(command[0]).name}") from error
        finally:
            # Download helpers outlive a killed apt-get; the session is theirs and ours alone.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code != 0 and must_succeed:
        lines = said.read_text(encoding="utf-8", errors="replace").split("\n")
        errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
        reason = errors[0] if errors else f"exit status {code}"
        raise DataError(f"{Path(command[0]).name} failed: {reason}")


def _keep(unpacked: Path, wanted: tuple[str, ...], into: Path) -> None:
    found = {path.name: path for path in unpacked.rglob("*") if path.is_file()}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"the package lacks {', '.join(missing)}")
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name in wanted:
            shutil.copyfile(found[name], into / name)
    except OSError as error:
        raise DataError(f"{into} cannot be written ({error.strerror})") from error
