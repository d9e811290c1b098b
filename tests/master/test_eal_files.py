from vio4wd.master import eal_files


def test_log_levels_grow_and_stay_within_those_of_eal():
    levels = [eal_files.log_level(n) for n in range(8)]
    assert levels == sorted(levels)
    assert levels[0] == 1
    assert levels[7] == 8


def test_runtime_directory_follows_the_environment(monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/somewhere")
    assert str(eal_files.runtime_directory("one")) == "/run/somewhere/dpdk/one"
