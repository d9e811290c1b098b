"""The systemd units, as systemd itself judges them."""

import configparser
import subprocess
from pathlib import Path

import pytest

from vio4wd.testing.daemon import program

CONF = Path(__file__).parents[2] / "conf"
UNITS = ("virtio-forwarder.service", "vio4wd_core_scheduler.service")


def test_systemd_finds_nothing_wrong(tmp_path):
    commands = Path(program("vio4wd-master")).parent
    for unit in UNITS:
        (tmp_path / unit).write_text((CONF / unit).read_text().replace("/usr/local/bin", str(commands)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / unit for unit in UNITS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", UNITS)
def test_they_are_watched_and_read_the_configuration(unit):
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read(CONF / unit)
    service = parser["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["EnvironmentFile"].startswith("-/etc/default/")
    assert int(service["LimitNOFILE"]) >= 65536
    assert " --config /etc/default/virtioforwarder" in service["ExecStart"]
