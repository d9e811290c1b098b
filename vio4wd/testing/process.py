"""A child process that cannot outlive its owner, with its output in a file.

The kernel kills the child when the thread that started it ends (PR_SET_PDEATHSIG), so a test runner that
is killed leaves nothing behind. Start such processes from a thread that lives as long as they do.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from vio4wd.testing.resource import Resource


class ChildProcess(Resource):
    """One process: started by the constructor, ended by `close`.

    Args:
        command: program and arguments.
        log: file that takes what it prints; it is created or emptied.
        stdout: where its standard output goes instead of the log (a file descriptor).
        stdin: a pipe when true, otherwise nothing can be read.
        environment: the environment, by default that of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        stdout: int | None = None,
        stdin: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=output,
                env=environment,
                # Ctrl-C in the terminal is for the owner alone, which then ends its children in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        if self._process.stdin is None:
            raise ValueError("the process was started without a pipe to its standard input")
        return self._process.stdin

    def running(self) -> bool:
        return self._process.poll() is None

    def status(self) -> int | None:
        """The exit status (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float) -> int:
        """The exit status once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not within `timeout` seconds.
        """
        return self._process.wait(timeout)

    def kill(self) -> None:
        """End it at once (SIGKILL) and wait until the kernel is done with it."""
        self._process.kill()
        self._process.wait(60)

    def close(self, patience: float = 10.0) -> None:
        """Ask it to end (SIGTERM), after `patience` seconds end it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self.kill()
