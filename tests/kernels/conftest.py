"""The tests of each file here run in a forked child: a kernel that crashes fails its test, not the run.

The child runs one test after the other and writes their reports as lines of JSON. When it dies, the
test it was at fails, and another child goes on with the next.
"""

import itertools
import json
import os
import pathlib
import select
import signal

import pytest
from _pytest.runner import runtestprotocol

_HERE = pathlib.Path(__file__).parent
_LONGEST = 240  # seconds that a test may take

_child = None


class _Child:
    """A process that runs these tests."""

    def __init__(self, items):
        self._buffer = b""
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            try:
                _run(items, writer)
            finally:
                os._exit(1)
        os.close(writer)
        self.remaining = len(items)

    def next_line(self):
        """The reports of the next test; None: the child died or is silent for too long."""
        while b"\n" not in self._buffer:
            if not select.select([self._reader], [], [], _LONGEST)[0]:
                return None
            part = os.read(self._reader, 1 << 16)
            if not part:
                return None
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\n", 1)
        self.remaining -= 1
        return line

    def end(self):
        """Kill it if it still runs. Returns how it ended, in words."""
        silent = not select.select([self._reader], [], [], 0)[0]
        os.close(self._reader)
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if silent:
            return f"took more than {_LONGEST} s"
        if os.WIFSIGNALED(status):
            return f"ended with {signal.Signals(os.WTERMSIG(status)).name}"
        return f"ended with exit status {os.WEXITSTATUS(status)}"


def _run(items, writer):
    for item, nextitem in itertools.zip_longest(items, items[1:]):
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        hook, config = item.config.hook, item.config
        data = [hook.pytest_report_to_serializable(config=config, report=report) for report in reports]
        line = json.dumps(data).encode() + b"\n"
        while line:
            line = line[os.write(writer, line) :]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    if _HERE not in item.path.parents:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _reports(item):
    global _child
    if _child is None:
        items = item.session.items
        rest = items[items.index(item) :]
        _child = _Child(list(itertools.takewhile(lambda other: other.path == item.path, rest)))
    line = _child.next_line()
    if line is None:
        reason = _child.end()
        _child = None
        call = pytest.CallInfo.from_call(
            lambda: pytest.fail(f"{item.nodeid} {reason}", pytrace=False), "call"
        )
        return [item.ihook.pytest_runtest_makereport(item=item, call=call)]
    if _child.remaining == 0:
        _child.end()
        _child = None
    hook = item.config.hook
    return [
        hook.pytest_report_from_serializable(config=item.config, data=report) for report in json.loads(line)
    ]


def pytest_sessionfinish():
    """A run that stops at the first failure leaves a child behind."""
    global _child
    if _child is not None:
        _child.end()
        _child = None
