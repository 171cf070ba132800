from __future__ import annotations

import time
from pathlib import Path

import pytest

from gatekeeper.errors import DataError
from gatekeeper.images import debian

APT = """\
#!/bin/sh
cp "$3" "$RECORD/apt.conf"
case "$4" in
update) {update} ;;
download) {download} ;;
esac
"""
DPKG = """\
#!/bin/sh
test "$1" = -x || exit 3
mkdir -p "$3/usr/share/fruit" && cp "$2" "$3/usr/share/fruit/apple.gz"
"""


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """Stand-ins for apt-get and dpkg-deb that need no network, and a place for what they saw."""
    for name in ("bin", "etc/sources.list.d", "record"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(debian, "_ETC_APT", tmp_path / "etc")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    (tmp_path / "etc" / "sources.list.d" / "debian.sources").write_text("Types: deb\n")
    (tmp_path / "etc" / "sources.list.d" / "elsewhere.list").write_text("deb http://slow x y\n")

    def install(update: str = "exit 0", download: str = "echo sweet > fruit_1_all.deb") -> Path:
        for name, script in {
            "apt-get": APT.format(update=update, download=download),
            "dpkg-deb": DPKG,
        }.items():
            path = tmp_path / "bin" / name
            path.write_text(script)
            path.chmod(0o755)
        return tmp_path

    return install


def _unpack(root: Path, wanted=("apple.gz",), limit: float = 20.0) -> Path:
    debian.unpack_package("fruit", wanted, root / "into", time_limit_s=limit)
    return root / "into"


def test_the_wanted_files_arrive(tools):
    into = _unpack(tools())
    assert [path.name for path in into.iterdir()] == ["apple.gz"]
    assert (into / "apple.gz").read_text() == "sweet\n"


def test_apt_is_given_its_own_state_and_the_distributions_sources_alone(tools):
    listing = 'ls "$(sed -n \'s/.*sourceparts "\\(.*\\)";/\\1/p\' "$3")" > "$RECORD/sources"'
    root = tools(update=listing)
    _unpack(root)
    settings = (root / "record" / "apt.conf").read_text()
    assert (root / "record" / "sources").read_text() == "debian.sources\n"
    work = settings.split('Dir::State "')[1].split("/state")[0]
    for key in ("Dir::State::status", "Dir::Cache", "Dir::Etc::sourceparts"):
        assert f'{key} "{work}/' in settings
    assert "#clear APT::Update::Post-Invoke-Success;" in settings
    assert not Path(work).exists()


def test_sources_that_fail_do_not_matter_while_the_package_can_be_had(tools):
    assert (_unpack(tools(update="exit 100")) / "apple.gz").is_file()


def test_what_apt_says_is_handed_on(tools):
    root = tools(download='echo "E: Unable to locate package fruit"; exit 100')
    with pytest.raises(DataError, match="apt-get failed: Unable to locate package fruit"):
        _unpack(root)
    with pytest.raises(DataError, match="exit status 7"):
        _unpack(tools(download="exit 7"))
    with pytest.raises(DataError, match="fetched no package fruit"):
        _unpack(tools(download="exit 0"))
    assert not (root / "into").exists()


def test_a_package_without_the_file_is_refused(tools):
    with pytest.raises(DataError, match=r"lacks pear\.gz"):
        _unpack(tools(), wanted=("apple.gz", "pear.gz"))


def test_the_time_limit_ends_apt_and_all_that_it_has_started(tools):
    root = tools(update='sleep 60 & echo $! > "$RECORD/helper"; wait')
    started = time.monotonic()
    with pytest.raises(DataError, match="time was up during apt-get"):
        _unpack(root, limit=0.5)
    assert time.monotonic() - started < 10
    helper = Path("/proc") / (root / "record" / "helper").read_text().strip()
    for _ in range(100):
        if not helper.exists() or "zombie" in (helper / "status").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the helper still runs")


def test_a_system_without_apt_or_sources_is_said(tools, monkeypatch, tmp_path):
    root = tools()
    (tmp_path / "etc" / "sources.list.d" / "debian.sources").unlink()
    with pytest.raises(DataError, match="no package sources"):
        _unpack(root)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="no apt-get and no dpkg-deb"):
        _unpack(root)


def test_a_place_that_cannot_be_written_is_said(tools):
    root = tools()
    (root / "into").write_text("a file is in the way")
    with pytest.raises(DataError, match=f"{root / 'into'} cannot be written"):
        _unpack(root)
