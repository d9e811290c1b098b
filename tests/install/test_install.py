"""`make install` into a directory of the test's, as a packager does it, and away again.

The packages that the program needs are those of this environment; nothing is downloaded.
"""

import importlib.metadata
import json
import os
import shutil
import site
import subprocess
from pathlib import Path

import pytest

from vio4wd.manual.commands import commands

ROOT = Path(__file__).parents[2]
NAMES = sorted(command.name for command in commands())
CONFIGURATION = "VIRTIOFWD_CPU_MASK=1\n"


class Stage:
    """The directory, with everything installed."""

    def __init__(self, directory) -> None:
        self.root = directory / "stage"
        self.local = self.root / "usr/local"
        packages = directory / "packages"
        packages.mkdir()
        for path in Path(site.getsitepackages()[0]).iterdir():
            if "vio4wd" not in path.name:
                (packages / path.name).symlink_to(path)
        self.environment = os.environ | {"PYTHONPATH": str(packages)}
        self.environment["PIP_OPTIONS"] = "--no-index --no-deps --no-build-isolation"
        self.configuration = self.root / "etc/default/virtioforwarder"
        self.configuration.parent.mkdir(parents=True)
        self.configuration.write_text(CONFIGURATION)

    def make(self, target) -> str:
        """What a target of the Makefile prints."""
        command = ["make", "-C", str(ROOT), target, f"DESTDIR={self.root}"]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def run(self, name, *arguments):
        """The outcome of an installed command; the interpreter it names is where it will be, not here."""
        command = [self.local / "lib/vio4wd/bin/python", self.local / "bin" / name, *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    directory = tmp_path_factory.mktemp("install")
    made = Stage(directory)
    log = made.make("install")
    assert "virtioforwarder stays as it is" in log
    yield made
    shutil.rmtree(directory)


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_run(stage, name):
    done = stage.run(name, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[1] == importlib.metadata.version("vio4wd")


def test_the_old_places_lead_to_the_tools(stage):
    old = stage.root / "usr/lib/virtio-forwarder"
    assert {path.name for path in old.iterdir()} == {
        "virtioforwarder_port_control.py",
        "virtioforwarder_stats.py",
        "virtioforwarder_core_pinner.py",
        "virtioforwarder_config.py",
        "virtioforwarder_monitor_load.py",
        "vio4wd_core_scheduler",
    }
    for path in old.iterdir():
        assert path.readlink() == Path("/usr/local/lib/vio4wd/bin", path.name)
        assert (stage.local / "lib/vio4wd/bin" / path.name).is_file()


def test_nothing_remembers_the_directory(stage):
    done = subprocess.run(
        ["grep", "-rlI", stage.root, stage.root], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == ""
    for name in NAMES:
        head = (stage.local / "bin" / name).read_text()[:200]
        assert "/usr/local/lib/vio4wd/bin/python" in head


def test_units_start_what_is_installed(stage):
    for unit in ("virtio-forwarder.service", "vio4wd_core_scheduler.service"):
        lines = (stage.local / "lib/systemd/system" / unit).read_text().splitlines()
        programs = [line.partition("=")[2].split()[0] for line in lines if line.startswith("ExecStart")]
        assert programs
        assert all((stage.root / program[1:]).is_file() for program in programs)


def test_management_software_finds_the_backend(stage):
    described = json.loads((stage.local / "share/qemu/vhost-user/50-vio4wd-net.json").read_text())
    done = stage.run(Path(described["binary"]).name, "--print-capabilities", "--nonsense")
    assert json.loads(done.stdout)["type"] == described["type"] == "net"
    assert (stage.root / described["binary"][1:]).is_file()


def test_manuals_and_completion_are_there(stage):
    for name in NAMES:
        assert (stage.local / f"share/man/man8/{name}.8").read_text().startswith((".TH", ".so"))
        assert "complete " in (stage.local / "share/bash-completion/completions" / name).read_text()
    assert (stage.local / "share/man/man5/virtioforwarder.5").is_file()


def test_the_configuration_file_was_left_alone_and_is_understood(stage):
    assert stage.configuration.read_text() == CONFIGURATION
    done = stage.run("vio4wd-master", "--config", stage.configuration, "--check-config")
    assert (done.returncode, done.stdout) == (0, "the configuration is fine\n"), done.stderr


def test_everything_but_the_configuration_goes_again(stage):
    stage.make("uninstall")
    left = [path for path in stage.root.rglob("*") if not path.is_dir()]
    assert left == [stage.configuration]


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PREFIX=relative", "not an absolute path"),
        ("PREFIX=/a b", "letters, digits"),
        ("PYTHON=/bin/false", "is older than 3.11"),
    ],
)
def test_mistakes_are_told_before_anything_is_done(tmp_path, variable, text):
    name, _, value = variable.partition("=")
    environment = os.environ | {"DESTDIR": str(tmp_path / "stage"), name: value}
    done = subprocess.run(
        [ROOT / "scripts/install"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "stage").glob("*"))


def test_a_strangers_directory_is_left_alone(tmp_path):
    strange = tmp_path / "usr/local/lib/vio4wd/precious"
    strange.parent.mkdir(parents=True)
    strange.touch()
    environment = os.environ | {"DESTDIR": str(tmp_path)}
    for arguments in ([], ["uninstall"]):
        done = subprocess.run(
            [ROOT / "scripts/install", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "was not made by this script" in done.stderr
        assert strange.exists()
