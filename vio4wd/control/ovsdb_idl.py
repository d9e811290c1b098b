"""Follows the Interface table of an OVSDB server, in a thread.

The ovs package's IDL keeps a copy of the rows and reconnects by itself; it is made for a loop of its own.
Here that loop is a thread, so that the first load of a large database holds up nobody. It hands the rows'
wishes over as plain data each time they may have changed, and otherwise only waits.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import ovs.db.idl
import ovs.stream
import ovs.timeval

_log = logging.getLogger(__name__)

#: Keys of external_ids that hold the relay; the second is the older spelling.
KEYS: Final = ("virtio_forwarder", "virtio_relay")

#: As much of Open vSwitch's schema as is followed; the rest of the server's may be of any version.
_SCHEMA: Final = {
    "name": "Open_vSwitch",
    "version": "0.0.1",
    "tables": {
        "Interface": {
            "columns": {
                "name": {"type": "string"},
                "external_ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
            }
        }
    },
}
#: The loop wakes up now and then, to notice a lost connection, in milliseconds.
_WAKE_MS: Final = 1000
#: Pause after a fault, in seconds.
_PAUSE: Final = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """PEM files for an ssl: server."""

    private_key: Path
    certificate: Path
    ca_cert: Path


class _Idl(ovs.db.idl.Idl):  # type: ignore[misc]  # the package has no types
    @property
    def is_following(self) -> bool:
        """Connected, and the rows are the server's."""
        return bool(self._session.is_connected()) and self.state == self.IDL_S_MONITORING


class _Waits:
    """What the IDL waits for; takes the place of ovs.poller.Poller.

    That one calls select(), which no descriptor above 1023 gets past, and a master with 64 guests has many.
    """

    def __init__(self) -> None:
        self._events: dict[int, int] = {}
        self._timeout_ms = _WAKE_MS

    def fd_wait(self, fd: Any, events: int) -> None:  # noqa: ANN401 - a number or anything with fileno()
        number = fd if isinstance(fd, int) else fd.fileno()
        self._events[number] = self._events.get(number, 0) | events

    def timer_wait(self, msec: int) -> None:
        self._timeout_ms = max(0, min(self._timeout_ms, msec))

    def timer_wait_until(self, msec: int) -> None:
        self.timer_wait(msec - ovs.timeval.msec())

    def immediate_wake(self) -> None:
        self._timeout_ms = 0

    def block(self) -> None:
        poll = select.poll()
        for number, events in self._events.items():
            poll.register(number, events)
        poll.poll(self._timeout_ms)


class InterfaceFollower:
    """The thread. `start` it once and `stop` it."""

    def __init__(
        self, remote: str, credentials: Credentials | None, changed: Callable[[dict[str, str]], None]
    ) -> None:
        """Connects to nothing yet.

        Args:
            remote: "unix:PATH", "tcp:ADDRESS:PORT" or "ssl:ADDRESS:PORT".
            changed: called in the thread with the relay wished for by each interface that names one, in
                the interface's own words.
        """
        self._remote = remote
        self._credentials = credentials
        self._changed = changed
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="ovsdb", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it. `changed` is not called any more."""
        self._stopping = True
        os.write(self._wake_write, b"x")
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._follow()
            except Exception:
                _log.exception("OVSDB %s: fault in its client, which starts again", self._remote)
                waits = select.poll()
                waits.register(self._wake_read, select.POLLIN)
                waits.poll(_PAUSE * 1000)

    def _follow(self) -> None:
        if self._credentials is not None:
            ovs.stream.Stream.ssl_set_private_key_file(str(self._credentials.private_key))
            ovs.stream.Stream.ssl_set_certificate_file(str(self._credentials.certificate))
            ovs.stream.Stream.ssl_set_ca_cert_file(str(self._credentials.ca_cert))
        helper = ovs.db.idl.SchemaHelper(schema_json=_SCHEMA)
        helper.register_columns("Interface", ["name", "external_ids"])
        idl = _Idl(self._remote, helper, leader_only=False)
        _log.info("OVSDB %s: connecting", self._remote)
        try:
            self._loop(idl)
        finally:
            idl.close()

    def _loop(self, idl: _Idl) -> None:
        seen = idl.change_seqno
        following = False
        while not self._stopping:
            idl.run()
            if idl.is_following != following:
                following = idl.is_following
                _log.info("OVSDB %s: %s", self._remote, "connected" if following else "connection lost")
            if idl.change_seqno != seen:
                seen = idl.change_seqno
                self._changed(_wishes(idl))
            waits = _Waits()
            waits.fd_wait(self._wake_read, select.POLLIN)
            idl.wait(waits)
            waits.block()


def _wishes(idl: _Idl) -> dict[str, str]:
    wishes: dict[str, str] = {}
    for row in idl.tables["Interface"].rows.values():
        ids = row.external_ids
        for key in KEYS:
            if key in ids:
                wishes[str(row.name)] = str(ids[key])
                break
    return wishes
