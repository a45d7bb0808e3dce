"""Results reach a receiver that is slow or away, and nobody waits for it."""

from __future__ import annotations

import threading
import time

import pytest
from edge_classify.edge.outputs.delivery import Delivery, Pauses, Refused, Retry
from hypothesis import given
from hypothesis import strategies as st

from .support.network_servers import Remarks
from .support.waiting import wait_until

QUICK = Pauses(first=0.01, longest=0.02)


class Receiver:
    """Takes items, but for those times when it is told to raise something or to hang."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.got: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.called = threading.Event()

    def __call__(self, item: int) -> None:
        self.called.set()
        self.open.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.got.append(item)


def test_items_arrive_in_order() -> None:
    receiver = Receiver()
    delivery = Delivery("it", receiver, Remarks())
    for number in range(100):
        delivery.put(number)
    assert delivery.close(60) == 0
    assert receiver.got == list(range(100))


def test_full_queue_drops_the_oldest_and_says_so_when_it_begins_and_when_it_is_over() -> None:
    receiver, remarks = Receiver(), Remarks()
    receiver.open.clear()
    delivery = Delivery("it", receiver, remarks, capacity=10)
    delivery.put(0)
    wait_until(receiver.called.is_set, "the first item is in the receiver's hands")
    for number in range(1, 10_000):
        delivery.put(number)
    assert remarks.texts == ["it does not keep up: the oldest results are dropped"]
    receiver.open.set()
    wait_until(lambda: len(remarks.texts) == 2, "the end is said")
    assert remarks.texts[1] == "it has caught up; results that it never received: 9989"
    assert receiver.got == [0, *range(9990, 10_000)]
    assert delivery.close(60) == 9989


def test_queue_of_a_source_that_can_wait_loses_nothing() -> None:
    receiver, remarks = Receiver(*[Retry("answers 503")] * 3), Remarks()
    delivery = Delivery("it", receiver, remarks, capacity=2, pauses=QUICK, wait=True)
    for number in range(50):
        delivery.put(number)
    assert delivery.close(60) == 0
    assert receiver.got == list(range(50))


def test_trouble_is_said_once_for_each_reason_and_its_end_once() -> None:
    troubles = [Retry("answers 503"), Retry("answers 503"), Retry("answers 500"), Retry("answers 503")]
    receiver, remarks = Receiver(*troubles), Remarks()
    delivery = Delivery("it", receiver, remarks, pauses=QUICK)
    delivery.put(1)
    wait_until(lambda: receiver.got, "the item arrived")
    assert delivery.close(60) == 0
    kept = "The last 256 results are kept, and sent when it takes them"
    assert remarks.texts == [f"it answers 503. {kept}", f"it answers 500. {kept}", "it takes results again"]


def test_refused_item_is_not_sent_again_and_the_next_one_is() -> None:
    receiver, remarks = Receiver(Refused("answers 404"), Refused("answers 404")), Remarks()
    delivery = Delivery("it", receiver, remarks)
    for number in range(3):
        delivery.put(number)
    assert delivery.close(60) == 2
    assert receiver.got == [2]
    assert remarks.texts == ["it answers 404. Refused results are not sent again"]


def test_receiver_that_asks_for_a_pause_gets_it() -> None:
    receiver = Receiver(Retry("answers 429", pause=0.5))
    delivery = Delivery("it", receiver, Remarks(), pauses=QUICK)
    began = time.monotonic()
    delivery.put(1)
    wait_until(lambda: receiver.got, "the item arrived")
    assert time.monotonic() - began >= 0.5
    delivery.close()


def test_closing_while_the_receiver_is_away_ends_in_time_and_counts_what_is_left() -> None:
    receiver = Receiver(*[Retry("is away")] * 100_000)
    delivery = Delivery("it", receiver, Remarks(), pauses=Pauses(longest=0.1))
    for number in range(5):
        delivery.put(number)
    assert delivery.close(0.3) == 5
    assert not receiver.got


def test_closing_while_the_receiver_hangs_ends_in_time() -> None:
    receiver = Receiver()
    receiver.open.clear()
    delivery = Delivery("it", receiver, Remarks())
    for number in range(5):
        delivery.put(number)
    assert delivery.close(0.2) == 5
    delivery.put(5)
    assert delivery.close(0.2) == 6
    receiver.open.set()


def test_closing_in_a_long_pause_brings_what_is_left_to_a_receiver_that_is_back() -> None:
    receiver, remarks = Receiver(Retry("is away", pause=3600)), Remarks()
    delivery = Delivery("it", receiver, remarks)
    delivery.put(1)
    delivery.put(2)
    wait_until(lambda: remarks.texts, "the trouble is said")
    assert delivery.close(60) == 0
    assert receiver.got == [1, 2]


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0.1, 5), st.floats(5, 100))
def test_pauses_double_up_to_the_longest_and_half_of_each_is_left_to_chance(
    failures: int, chance: float, first: float, longest: float
) -> None:
    pauses = Pauses(first, longest, lambda: chance)
    whole = min(longest, first * 2.0 ** min(failures - 1, 100))
    assert pauses.after(failures) == pytest.approx(whole * (1 + chance) / 2)
