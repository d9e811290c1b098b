import os
import subprocess
import sys

import pytest

from vio4wd.master.errors import MasterError
from vio4wd.master.pidfile import PidFile


def test_holds_the_pid_and_goes_away(tmp_path):
    held = PidFile(str(tmp_path))
    held.write()
    assert (tmp_path / "virtio-forwarder.pid").read_text() == f"{os.getpid()}\n"
    held.remove()
    assert not list(tmp_path.iterdir())


def test_second_master_is_refused_with_the_first_ones_pid(tmp_path):
    held = PidFile(str(tmp_path))
    held.write()
    try:
        with pytest.raises(MasterError, match=rf"pid {os.getpid()}\).*--pid-path"):
            PidFile(str(tmp_path))
    finally:
        held.remove()
    PidFile(str(tmp_path)).remove()


def test_file_of_a_killed_master_does_not_keep_the_next_one_out(tmp_path):
    program = (
        "import os, signal, sys; from vio4wd.master.pidfile import PidFile;"
        "PidFile(sys.argv[1]).write(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert (tmp_path / "virtio-forwarder.pid").exists()
    held = PidFile(str(tmp_path))
    held.write()
    assert (tmp_path / "virtio-forwarder.pid").read_text() == f"{os.getpid()}\n"
    held.remove()


def test_missing_directory_says_what_to_do(tmp_path):
    with pytest.raises(MasterError, match=r"missing/virtio-forwarder\.pid: No such file.*--pid-path"):
        PidFile(str(tmp_path / "missing"))
