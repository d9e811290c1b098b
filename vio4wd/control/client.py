"""The client's side of the ZeroMQ services, for commands: one request, one answer, or one line why not."""

from __future__ import annotations

import os
import socket
from typing import TypeVar

import zmq
from google.protobuf.message import DecodeError, Message

from vio4wd.control.ipc import socket_file

Response = TypeVar("Response", bound=Message)


class ClientError(Exception):
    """No answer; the message names the endpoint and says what to do."""


def ask(endpoint: str, request: Message, response_type: type[Response], timeout: float) -> Response:
    """Send a request and wait for the answer.

    Args:
        endpoint: ipc:// or tcp:// endpoint.
        timeout: seconds.

    Raises:
        ClientError: nobody listens, nobody answers in time, or the answer is none.
    """
    _knock(endpoint)
    with zmq.Context() as context, context.socket(zmq.REQ) as client:
        client.setsockopt(zmq.LINGER, 0)
        client.setsockopt(zmq.RCVTIMEO, round(timeout * 1000))
        client.setsockopt(zmq.SNDTIMEO, round(timeout * 1000))
        try:
            client.connect(endpoint)
            client.send(request.SerializeToString())
            frame = client.recv()
        except zmq.Again:
            raise ClientError(f"{endpoint}: no answer within {timeout:g} s") from None
        except zmq.ZMQError as error:
            raise ClientError(f"{endpoint}: {error.strerror}: is it an endpoint?") from None
    try:
        return response_type.FromString(frame)
    except DecodeError:
        raise ClientError(
            f"{endpoint}: the answer is no {response_type.__name__}: is it the right endpoint?"
        ) from None


def _knock(endpoint: str) -> None:
    """Say at once that nobody listens; ZeroMQ would try again for ever.

    Raises:
        ClientError: that, or no permission.
    """
    path = socket_file(endpoint)
    if path is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except PermissionError:
            raise ClientError(
                f"{endpoint}: permission denied: run as root or as a member of its group"
            ) from None
        except OSError as error:
            raise ClientError(
                f"{endpoint}: nobody listens ({error.strerror or error}): does the daemon run and serve it?"
            ) from None
