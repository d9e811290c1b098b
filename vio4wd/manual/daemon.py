"""What the man page of vio4wd-master has beyond its options."""

from __future__ import annotations

from typing import Final

from vio4wd.manual import roff

NAME: Final = "vio4wd-master"

_STATUSES: Final = {
    "0": "it was asked to stop and has; or the check found nothing wrong",
    "1": "it could not start, for the reason on stderr",
    "2": "the command line or the file is wrong, in the way that is said",
}
_SIGNALS: Final = {
    "SIGTERM, SIGINT": "Stop: guests are disconnected, VFs detached, and everything that was made is "
    "removed, within two seconds.",
    "SIGHUP": "Read the configuration file again, and follow what can be followed; the log says what cannot.",
}
_FILES: Final = {
    "/etc/default/virtioforwarder": "configuration, see virtioforwarder(5)",
    "/var/run/virtio-forwarder.pid": "the process's id (--pid-path)",
    "/var/run/virtio-forwarder/": "sockets for control by ZeroMQ",
    "/tmp/virtio-forwarder<N>.sock": "vhost-user socket of relay N (--vhost-path, --vhost-socket)",
    "/dev/shm/vio4wd": "tables that workers and vio4wd-inspect share; another name for another --pid-path",
    "/var/cache/vio4wd/": "compiled code, see vio4wd-precompile(8); elsewhere with VIO4WD_CACHE_DIR in the "
    "environment",
}

_BACKEND: Final = (
    "With --socket-path or --fd it follows the conventions of QEMU for backend programs (vhost-user.rst): it "
    "serves one guest, whose relay is number 0, stays in the foreground, and ends with SIGTERM. CPUs and the "
    "VF are given as always, and each such process has a --pid-path of its own:",
    "--print-capabilities tells management software what this is.",
)
_BACKEND_EXAMPLE: Final = (
    "vio4wd-master --socket-path=/run/vm1/net.sock --pid-path=/run/vm1 --cpus=2 --add-pci-vf=0000:05:08.1=0",
)

#: Bodies in roff by title.
SECTIONS: Final = {
    "BACKEND PROGRAM": roff.paragraph(_BACKEND[0])
    + roff.verbatim(_BACKEND_EXAMPLE)
    + roff.paragraph(_BACKEND[1]),
    "EXIT STATUS": "".join(roff.item(roff.bold(code), text) for code, text in _STATUSES.items()),
    "SIGNALS": "".join(roff.item(roff.bold(name), text) for name, text in _SIGNALS.items()),
    "FILES": "".join(roff.item(roff.italic(path), text) for path, text in _FILES.items()),
}
