"""What the daemon does for its machine before it serves: binding of VFs, its limits."""

import resource

from vio4wd.testing.daemon import Daemon


def test_vfs_that_cannot_be_bound_are_named_and_the_daemon_serves(directory):
    with Daemon(directory, options=["--bind-vfio-pci=ffff:ff:1f.7,lo:2"]) as daemon:
        log = daemon.log()
        assert "ERROR ffff:ff:1f.7: there is no such PCI device" in log
        assert "ERROR lo has no VFs, not 2" in log
        for pid in (daemon.pid, *daemon.worker_pids()):
            soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            assert soft >= min(hard, 65536)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log()
