"""Statistics of windows: placements, medians, ratios, and when enough were measured."""

import pytest

from bench.figures import ANY, BETWEEN, CHANGED, FAR, NEAR, Window, complete, rows, summarise, thrown_away

PEER = "testpmd"


def window(value=1.0, backend="vio4wd", case="64 B", before=100.0, after=100.0, **extra):
    return Window("pvp", case, backend, value, "Mpps", before, after, extra)


@pytest.mark.parametrize(
    ("before", "after", "placement"),
    [
        (64, 140, NEAR),
        (199, 100, NEAR),
        (410, 390, FAR),
        (300, 430, FAR),
        (250, 210, BETWEEN),
        (100, 410, CHANGED),
        (410, 100, CHANGED),
        (250, 100, CHANGED),
        (None, None, ANY),
        (100, None, ANY),
    ],
)
def test_placement(before, after, placement):
    assert window(before=before, after=after).placement == placement


def test_summary_is_median_and_range():
    summary = summarise([window(3.0, drop=0.1), window(1.0, drop=0.3), window(2.0)])
    assert (summary.median, summary.low, summary.high, summary.windows) == (2.0, 1.0, 3.0, 3)
    assert summary.extra == {"drop": pytest.approx(0.2)}


def test_ratio_is_ours_by_the_peers():
    (row,) = rows([window(3.0), window(2.0, PEER)])
    assert row.ratio(PEER) == 1.5
    assert row.ratio("other") is None
    assert row.more_is_better()


def test_no_ratio_to_a_peer_that_moved_nothing():
    (row,) = rows([window(3.0), window(0.0, PEER)])
    assert row.ratio(PEER) is None


def test_placements_are_never_mixed():
    far = {"before": 400.0, "after": 410.0}
    near_row, far_row = rows([window(4.0), window(2.0, PEER, **far), window(1.0, **far), window(8.0, PEER)])
    assert (near_row.placement, near_row.ratio(PEER)) == (NEAR, 0.5)
    assert (far_row.placement, far_row.ratio(PEER)) == (FAR, 0.5)


def test_windows_with_a_change_of_placement_are_thrown_away():
    windows = [window(1.0), window(100.0, after=400.0)]
    (row,) = rows(windows)
    assert row.summaries["vio4wd"].windows == 1
    assert thrown_away(windows) == 1


def test_cases_keep_their_order_and_near_comes_first():
    found = rows(
        [
            window(case="b", before=400.0, after=400.0),
            window(case="a", before=400.0, after=400.0),
            window(case="b"),
            window(case="a"),
        ]
    )
    assert [(row.case, row.placement) for row in found] == [("b", NEAR), ("b", FAR), ("a", NEAR), ("a", FAR)]


def test_complete_asks_for_each_backend_in_one_placement():
    far = {"before": 400.0, "after": 410.0}
    names = ["vio4wd", PEER]
    apart = [window(), window(), window(1.0, PEER, **far), window(1.0, PEER, **far)]
    assert not complete(apart, names, 2)
    assert complete([*apart, window(**far), window(**far)], names, 2)


def test_complete_asks_for_every_case():
    done = [window(), window(1.0, PEER)]
    assert complete(done, ["vio4wd", PEER], 1)
    assert not complete([*done, window(case="other")], ["vio4wd", PEER], 1)
    assert not complete([*done, window(case="other", after=400.0)], ["vio4wd", PEER], 1)


def test_less_is_better_for_times():
    (row,) = rows([Window("startup", "warm", "vio4wd", 1.5, "s")])
    assert not row.more_is_better()
    assert row.placement == ANY
