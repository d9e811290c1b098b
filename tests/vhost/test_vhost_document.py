"""The documentation of features and messages says what the program does."""

import runpy
from pathlib import Path

from vio4wd.vhost.features import PROTOCOL_FEATURES, VIRTIO_FEATURES
from vio4wd.vhost.messages import BackendRequest, Request

ROOT = Path(__file__).resolve().parents[2]


def test_it_is_up_to_date():
    script = runpy.run_path(str(ROOT / "scripts/generate_docs.py"))
    text = script["PATH"].read_text()
    assert text == script["document"](), "run scripts/generate_docs.py"
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    tables = (VIRTIO_FEATURES, PROTOCOL_FEATURES, Request, BackendRequest)
    assert len(rows) == sum(len(table) + 2 for table in tables)
    assert not any("|  |" in row or row.count("|") != 5 for row in rows)
