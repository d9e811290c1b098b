"""Each test of this folder runs in a forked child: a kernel that crashes fails its test, not the run."""

import json
import os
import pathlib
import select
import signal

import pytest
from _pytest.runner import runtestprotocol

_HERE = pathlib.Path(__file__).parent
_LONGEST = 240  # seconds


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    if _HERE not in item.path.parents:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _run_in_child(item, nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run_in_child(item, nextitem):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        hook = item.config.hook
        data = json.dumps(
            [hook.pytest_report_to_serializable(config=item.config, report=report) for report in reports]
        )
        with os.fdopen(writer, "w") as stream:
            stream.write(data)
        os._exit(0)
    os.close(writer)
    data, hung = _read_all(reader)
    os.close(reader)
    if hung:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if status == 0 and not hung:
        hook = item.config.hook
        return [
            hook.pytest_report_from_serializable(config=item.config, data=report)
            for report in json.loads(data)
        ]
    reason = f"took more than {_LONGEST} s" if hung else f"ended with {_name(status)}"
    failure = f"{item.nodeid} {reason}"
    call = pytest.CallInfo.from_call(lambda: pytest.fail(failure, pytrace=False), "call")
    return [item.ihook.pytest_runtest_makereport(item=item, call=call)]


def _read_all(reader):
    """What the child writes, and whether it is silent for too long."""
    data = b""
    while select.select([reader], [], [], _LONGEST)[0]:
        part = os.read(reader, 1 << 16)
        if not part:
            return data, False
        data += part
    return data, True


def _name(status):
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.WEXITSTATUS(status)}"
