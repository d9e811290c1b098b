"""The end of a master, when the deadline's thread and the orderly stop clean up at the same time."""

import threading

from vio4wd.config.instance import instance_name
from vio4wd.config.options import parse
from vio4wd.master.background import Background
from vio4wd.master.daemon import Daemon
from vio4wd.master.pidfile import PidFile


def test_whoever_cleans_up_last_waits_for_the_first(tmp_path):
    options = ["--cpus=1", f"--pid-path={tmp_path}", f"--huge-dir={tmp_path}"]
    settings = parse(options)
    files = [tmp_path / f"{instance_name(settings.pid_path)}map_{number}" for number in range(2000)]
    for file in files:
        file.touch()
    daemon = Daemon(settings, lambda: settings, Background(-1), PidFile(str(tmp_path)))
    left = []

    def clean_up():
        daemon.clean_up()
        left.extend(file for file in files if file.exists())

    threads = [threading.Thread(target=clean_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left == []
    assert list(tmp_path.iterdir()) == []
