import pytest

from vio4wd.master import eal_arguments

TOKEN = "14d63f20-8445-11ea-8900-1f9ce7d5650d"


def arguments(**changes):
    settings = {"instance": "vio4wd-00c0ffee", "cpu": 3, "huge_dir": "/mnt/huge", "loglevel": 6} | changes
    return eal_arguments.primary_arguments(**settings)


def test_primary_on_the_master_cpu_with_names_of_its_own():
    found = arguments()
    assert found[found.index("-l") + 1] == "3"
    assert "--proc-type=primary" in found
    assert "--file-prefix=vio4wd-00c0ffee" in found
    assert "--huge-dir=/mnt/huge" in found


def test_no_device_is_taken_at_start_but_pci_stays_possible():
    assert any(a.startswith("--allow=ffff:") for a in arguments())
    assert "--no-pci" not in arguments()


def test_token_is_passed_on():
    assert f"--vfio-vf-token={TOKEN}" in arguments(vfio_vf_token=TOKEN)


@pytest.mark.parametrize("token", ["x", "%s%s%n", TOKEN + "0", " " + TOKEN])
def test_token_that_is_no_uuid_is_refused(token):
    with pytest.raises(ValueError, match="must be a UUID"):
        arguments(vfio_vf_token=token)


def test_log_levels_grow_and_stay_within_those_of_eal():
    levels = [eal_arguments.eal_log_level(n) for n in range(8)]
    assert levels == sorted(levels)
    assert levels[0] == 1
    assert levels[7] == 8


def test_runtime_directory_follows_the_environment(monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/somewhere")
    assert str(eal_arguments.runtime_directory("one")) == "/run/somewhere/dpdk/one"
