"""The committed protobuf code is that of the .proto file."""

import subprocess
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from vio4wd.control.proto import virtioforwarder_pb2

PROTO = Path(virtioforwarder_pb2.__file__).parent


def test_generated_code_is_up_to_date(tmp_path):
    """Compares what the code means, for its text changes with the compiler's version."""
    out = tmp_path / "descriptors"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{PROTO}",
            f"--descriptor_set_out={out}",
            "virtioforwarder.proto",
        ],
        check=True,
        timeout=120,
    )
    (fresh,) = FileDescriptorSet.FromString(out.read_bytes()).file
    committed = FileDescriptorProto.FromString(virtioforwarder_pb2.DESCRIPTOR.serialized_pb)
    for descriptor in (fresh, committed):
        for message in descriptor.message_type:
            _forget_json_names(message)
    assert fresh == committed, "run scripts/generate.py"


def _forget_json_names(message):
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _forget_json_names(nested)


def test_what_is_new_has_numbers_from_100_up():
    known = {
        "PortControlRequest": 7,
        "PortControlResponse": 7,
        "StatsRequest": 3,
        "StatsResponse": 2,
        "RelayCPU": 3,
        "ConfigRequest": 0,
        "ConfigResponse": 5,
        "CoreSchedRequest": 2,
        "CoreSchedResponse": 7,
    }
    messages = virtioforwarder_pb2.DESCRIPTOR.message_types_by_name
    assert set(messages) == set(known)
    for name, last in known.items():
        assert all(field.number <= last or field.number >= 100 for field in messages[name].fields), name


def test_stubs_know_every_field():
    stubs = (PROTO / "virtioforwarder_pb2.pyi").read_text()
    for descriptor in virtioforwarder_pb2.DESCRIPTOR.message_types_by_name.values():
        for field in descriptor.fields:
            assert f"    {field.name}: " in stubs
