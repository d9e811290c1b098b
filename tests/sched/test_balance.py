"""The core scheduler's decision, in a world of its own."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.sched.balance import FIRST_STAY, Memory, RelayLoad, decide, variation, worker_loads


class World:
    """Relays with a demand for CPU time, workers that give no more than they have.

    Relay r lies on the NUMA node `homes[r]`.
    """

    def __init__(self, nodes, where, homes=None):
        self.cpus = nodes  # NUMA node by CPU
        self.where = dict(where)
        self.homes = homes or dict.fromkeys(where, 0)
        self.memory = Memory()

    def interval(self, demand, **options):
        """One interval: measure, decide, move. Returns the moves."""
        wanted = {(relay, number): demand(relay, number) for relay in self.where for number in (0, 1)}
        mapping = {(relay, number): cpus[number] for relay, cpus in self.where.items() for number in (0, 1)}
        asked = worker_loads(mapping, self.cpus, wanted)
        relays = [
            RelayLoad(
                relay,
                self.homes[relay],
                cpus,
                tuple(wanted[relay, number] / max(1.0, asked[cpus[number]]) for number in (0, 1)),
            )
            for relay, cpus in self.where.items()
        ]
        decision = decide(relays, self.cpus, self.memory, **options)
        assert len({move.relay for move in decision.moves}) == len(decision.moves)  # one move a relay
        for move in decision.moves:
            assert set(move.cpus) <= set(self.cpus)
            self.where[move.relay] = move.cpus
        self.memory = decision.memory
        return decision

    def variation(self, demand):
        mapping = {(relay, number): cpus[number] for relay, cpus in self.where.items() for number in (0, 1)}
        return variation(
            worker_loads(
                mapping, self.cpus, {direction: demand(*direction) for direction in mapping}
            ).values()
        )


def uneven(relay, number):
    """One heavy relay beside seven light ones."""
    return 0.4 if relay == 0 else 0.02


@pytest.mark.parametrize(("noise", "even"), [(0.0, 0.01), (0.2, 0.15)])
def test_heavy_beside_light_is_balanced_in_two_intervals_and_left_alone(noise, even):
    chance = random.Random(1)
    world = World({1: 0, 2: 0}, {relay: (1, 1) if relay < 4 else (2, 2) for relay in range(8)})

    def demand(relay, number):
        return uneven(relay, number) * chance.uniform(1 - noise, 1 + noise)

    world.interval(demand)
    assert world.interval(demand).moves
    assert world.where[0] in ((1, 2), (2, 1))
    assert world.variation(uneven) < even
    for _ in range(100):
        assert not world.interval(demand).moves


def test_an_imbalance_that_begins_later():
    world = World({1: 0, 2: 0}, {relay: (1, 1) if relay % 2 else (2, 2) for relay in range(8)})
    for _ in range(50):
        assert not world.interval(lambda relay, number: 0.05).moves
    world.interval(uneven)
    world.interval(uneven)
    assert world.variation(uneven) < 0.1
    for _ in range(100):
        assert not world.interval(uneven).moves


def test_a_full_worker_is_relieved_however_many_are_even():
    """With 32 workers one full worker hardly changes the variation of all."""
    where = {relay: (relay, relay) for relay in range(32)}
    world = World(dict.fromkeys(range(32), 0), where)

    def demand(relay, number):
        return 0.8 if relay == 5 else 0.12

    world.interval(demand)
    decision = world.interval(demand)
    assert decision.variation - decision.expected < 0.25
    assert 1 <= len(decision.moves) <= 2  # relay 5, and perhaps one that makes room
    assert len(set(world.where[5])) == 2


@pytest.mark.parametrize(
    ("noise", "intervals"),
    [
        (lambda chance: chance.uniform(0.7, 1.3), 1000),
        (lambda chance: chance.expovariate(1), 200),  # from nothing to many times the mean
    ],
    ids=["30 percent", "exponential"],
)
def test_noise_moves_nothing(noise, intervals):
    """64 relays on 32 cores, put anywhere at first; once they are where they belong they stay there."""
    chance = random.Random(7)
    base = {(relay, number): chance.uniform(0.02, 0.3) for relay in range(64) for number in (0, 1)}
    world = World(
        dict.fromkeys(range(32), 0),
        {relay: (chance.randrange(32), chance.randrange(32)) for relay in range(64)},
    )

    def demand(relay, number):
        return base[relay, number] * noise(chance)

    moves = [len(world.interval(demand).moves) for _ in range(2 * intervals)]
    assert sum(1 for count in moves[2:] if count) <= 2
    assert sum(moves[intervals:]) == 0


def test_a_relay_that_swings_is_not_moved_about():
    """Two relays take turns at being heavy, just slowly enough to be believed each time."""
    world = World({1: 0, 2: 0}, {0: (1, 1), 1: (2, 2), 2: (1, 2)})
    moves = 0
    for interval in range(2000):
        heavy = interval // 3 % 2
        moves += len(world.interval(lambda relay, number, heavy=heavy: 0.45 if relay == heavy else 0.0).moves)
    # Spread over both workers there is nothing left to gain; at worst a relay moves after ever longer stays.
    assert moves <= 20


def test_little_load_moves_nothing():
    world = World({1: 0, 2: 0}, dict.fromkeys(range(8), (1, 1)))
    for _ in range(10):
        assert not world.interval(lambda relay, number: 0.001).moves


def test_sensitivity():
    def demand(relay, number):
        return (0.25, 0.05, 0.1, 0.1)[relay]

    where = {0: (1, 1), 1: (1, 1), 2: (2, 2), 3: (2, 2)}  # 0.6 and 0.4: the variation is 0.2
    calm, keen = World({1: 0, 2: 0}, where), World({1: 0, 2: 0}, where)
    for _ in range(5):
        assert not calm.interval(demand, sensitivity=0.25).moves
    assert keen.interval(demand, sensitivity=0.1).moves == ()
    assert keen.interval(demand, sensitivity=0.1).moves
    assert keen.variation(demand) == pytest.approx(0.0, abs=1e-9)


def test_relays_stay_on_their_node():
    nodes = {1: 0, 2: 0, 11: 1, 12: 1}
    world = World(nodes, {0: (1, 1), 1: (1, 1), 2: (11, 11)}, homes={0: 0, 1: 0, 2: 1})
    for _ in range(3):
        world.interval(lambda relay, number: 0.4 if relay < 2 else 0.01)
    assert {cpu for relay in (0, 1) for cpu in world.where[relay]} == {1, 2}
    assert world.where[2] == (11, 11)
    world = World(nodes, {0: (1, 1), 1: (1, 1), 2: (11, 11)}, homes={0: 0, 1: 0, 2: 1})
    for _ in range(3):
        world.interval(lambda relay, number: 0.4 if relay < 2 else 0.01, everywhere=True)
    assert {cpu for relay in (0, 1) for cpu in world.where[relay]} == {1, 2, 11, 12}


def test_a_relay_comes_home_to_its_guests_node():
    """Its guest lies on node 1 since the last interval; nothing needs to be uneven for that."""
    world = World({1: 0, 11: 1, 12: 1}, {0: (1, 1), 1: (11, 11)}, homes={0: 1, 1: 1})
    world.interval(lambda relay, number: 0.2)
    assert set(world.where[0]) <= {11, 12}
    for _ in range(50):
        assert not world.interval(lambda relay, number: 0.2).moves


def test_a_node_without_workers_borrows():
    world = World({1: 0, 2: 0}, {0: (1, 1), 1: (1, 1)}, homes={0: 7, 1: 7})
    for _ in range(3):
        world.interval(lambda relay, number: 0.2)
    assert world.variation(lambda relay, number: 0.2) == 0


def test_a_relay_stays_for_a_while_where_it_was_moved_to():
    world = World({1: 0, 2: 0}, {0: (1, 1)})
    world.interval(lambda relay, number: 0.4)
    world.interval(lambda relay, number: 0.4)
    assert set(world.where[0]) == {1, 2}
    world.where[0] = (1, 1)  # an operator moves it back
    for _ in range(FIRST_STAY):
        assert not world.interval(lambda relay, number: 0.4).moves
    assert world.interval(lambda relay, number: 0.4).moves


def test_lanes_of_one_relay_are_balanced_each_on_its_own():
    memory = Memory()
    where = dict.fromkeys(range(4), (1, 1))
    for _ in range(3):
        relays = [RelayLoad(0, 0, cpus, (0.2, 0.02), lane) for lane, cpus in where.items()]
        decision = decide(relays, {1: 0, 2: 0}, memory)
        memory = decision.memory
        for move in decision.moves:
            assert move.relay == 0
            where[move.lane] = move.cpus
    assert sorted(cpus[0] for cpus in where.values()) == [1, 1, 2, 2]


def test_without_workers_or_relays_nothing_is_decided():
    assert decide([], {1: 0}, Memory()).moves == ()
    assert decide([RelayLoad(0, 0, (1, 1), (0.5, 0.5))], {}, Memory()).moves == ()


@given(
    st.dictionaries(st.integers(0, 40), st.integers(0, 2), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(-1, 3), st.floats(0, 1), st.floats(0, 1)), max_size=16),
    st.data(),
)
def test_any_input_gives_a_valid_decision(cpus, relays, data):
    cpu = st.sampled_from(sorted(cpus))
    where = {relay: (data.draw(cpu), data.draw(cpu)) for relay in range(len(relays))}
    world = World(cpus, where, homes={relay: entry[0] for relay, entry in enumerate(relays)})
    for _ in range(3):
        decision = world.interval(lambda relay, number: relays[relay][1 + number])
    for relay, (home, _, _) in enumerate(relays):
        if home in cpus.values():
            assert {cpus[cpu] for cpu in world.where[relay]} == {home}
    assert decision.expected <= decision.variation + 1e-9 or len(set(cpus.values())) > 1
