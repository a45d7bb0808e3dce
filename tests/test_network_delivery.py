"""Results reach a receiver that is slow or away, and nobody waits for it."""

from __future__ import annotations

import threading
import time
import tracemalloc

import pytest
from edge_classify.edge.outputs.delivery import FILES, LIVE, Delivery, Kept, Pauses, Refused, Retry
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


def deliver(
    receiver: Receiver,
    remarks: Remarks,
    kept: Kept = LIVE,
    pauses: Pauses = QUICK,
    size: int = 100,
    silence: float = 60,
) -> Delivery[int]:
    """Return a delivery of numbers that count as `size` bytes each."""
    return Delivery("it", receiver, remarks, kept, pauses, size_of=lambda _: size, silence=silence)


def test_items_arrive_in_order() -> None:
    receiver = Receiver()
    delivery = deliver(receiver, Remarks())
    for number in range(100):
        delivery.put(number)
    assert delivery.close(60) == 0
    assert receiver.got == list(range(100))


def test_full_queue_drops_the_oldest_and_says_so_when_it_begins_and_when_it_is_over() -> None:
    receiver, remarks = Receiver(), Remarks()
    receiver.open.clear()
    delivery = deliver(receiver, remarks, LIVE._replace(size=1_000_000), size=100_000)
    delivery.put(0)
    wait_until(receiver.called.is_set, "the first item is in the receiver's hands")
    for number in range(1, 10_000):
        delivery.put(number)
    assert remarks.texts == ["it does not keep up: the oldest results are dropped"]
    receiver.open.set()
    wait_until(lambda: len(remarks.texts) == 2, "the end is said")
    assert remarks.texts[1] == "it has caught up; results that it never received: 9990"
    assert receiver.got == [0, *range(9991, 10_000)]
    assert delivery.close(60) == 9990


def test_what_is_kept_counts_pythons_objects_and_not_only_bytes() -> None:
    receiver, remarks = Receiver(), Remarks()
    receiver.open.clear()
    delivery = deliver(receiver, remarks, size=0)
    tracemalloc.start()
    for number in range(200_000):
        delivery.put(number)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < LIVE.size
    assert remarks.texts == ["it does not keep up: the oldest results are dropped"]
    delivery.close(0)
    receiver.open.set()


def test_item_larger_than_all_that_is_kept_is_sent_alone() -> None:
    receiver = Receiver()
    delivery = deliver(receiver, Remarks(), LIVE._replace(size=1000), size=5000)
    for number in range(3):
        delivery.put(number)
        wait_until(lambda: delivery.is_idle, "it has arrived")
    assert receiver.got == [0, 1, 2]
    assert delivery.close(60) == 0


def test_items_that_are_too_old_are_dropped_also_the_one_that_is_tried() -> None:
    receiver, remarks = Receiver(*[Retry("is away")] * 10_000), Remarks()
    delivery = deliver(receiver, remarks, LIVE._replace(age=0.3))
    for number in range(3):
        delivery.put(number)
    wait_until(lambda: delivery.is_idle, "all are dropped")
    receiver.troubles.clear()
    delivery.put(3)
    wait_until(lambda: remarks.holding("caught up"), "the number is said")
    assert receiver.got == [3]
    assert remarks.texts[1:] == [
        "it does not keep up: the oldest results are dropped",
        "it takes results again",
        "it has caught up; results that it never received: 3",
    ]
    assert delivery.close(60) == 3


def test_receiver_that_fails_at_one_item_gets_the_later_ones() -> None:
    def fails_at_two(item: int) -> None:
        if item == 2:
            raise Retry("answers 500", reached=True)
        got.append(item)

    got: list[int] = []
    remarks = Remarks()
    kept = LIVE._replace(trying=0.0)
    delivery = Delivery("it", fails_at_two, remarks, kept, QUICK, size_of=lambda _: 1)
    for number in range(5):
        delivery.put(number)
    assert delivery.close(60) == 1
    assert got == [0, 1, 3, 4]
    assert remarks.texts[1] == "it answers 500. A result that it got 3 times is given up"


def test_receiver_that_was_not_reached_is_no_reason_to_give_an_item_up() -> None:
    receiver = Receiver(*[Retry("cannot be reached")] * 20)
    delivery = deliver(receiver, Remarks(), LIVE._replace(trying=0.0))
    delivery.put(1)
    assert delivery.close(60) == 0
    assert receiver.got == [1]


def test_queue_of_a_source_that_can_wait_loses_nothing() -> None:
    receiver, remarks = Receiver(*[Retry("answers 503", reached=True)] * 5), Remarks()
    delivery = deliver(receiver, remarks, FILES._replace(size=1000))
    for number in range(50):
        delivery.put(number)
    assert delivery.close(60) == 0
    assert receiver.got == list(range(50))
    assert remarks.texts == [
        "it answers 503. Results are kept, and sent when it takes them",
        "it takes results again",
    ]


def test_trouble_is_said_once_for_each_reason_and_its_end_once() -> None:
    troubles = [Retry("answers 503"), Retry("answers 503"), Retry("answers 500"), Retry("answers 503")]
    receiver, remarks = Receiver(*troubles), Remarks()
    delivery = deliver(receiver, remarks)
    delivery.put(1)
    wait_until(lambda: receiver.got, "the item arrived")
    assert delivery.close(60) == 0
    kept = "Results of the last 5 minutes are kept, and sent when it takes them"
    assert remarks.texts == [f"it answers 503. {kept}", f"it answers 500. {kept}", "it takes results again"]


@pytest.mark.parametrize("trouble", [Retry("answers 500"), Refused("answers 400")])
def test_trouble_that_comes_and_goes_does_not_fill_the_log(trouble: Exception) -> None:
    def every_second(item: int) -> None:
        if item % 2 and item not in tried:
            tried.add(item)
            raise trouble

    tried: set[int] = set()
    remarks = Remarks()
    delivery = Delivery("it", every_second, remarks, LIVE, Pauses(0.001, 0.001), size_of=lambda _: 1)
    for number in range(100):
        delivery.put(number)
        wait_until(lambda: delivery.is_idle, "it is done")
    lost = 50 if isinstance(trouble, Refused) else 0
    assert delivery.close(60) == lost
    assert len(remarks.texts) == 2  # The beginning and the end.


def test_refused_item_is_not_sent_again_and_the_next_one_is() -> None:
    receiver, remarks = Receiver(Refused("answers 404"), Refused("answers 404")), Remarks()
    delivery = deliver(receiver, remarks)
    for number in range(3):
        delivery.put(number)
    assert delivery.close(60) == 2
    assert receiver.got == [2]
    assert remarks.texts == [
        "it answers 404. Refused results are not sent again",
        "it has caught up; results that it never received: 2",
    ]


def test_hanging_receiver_is_ended_and_its_item_counted_once() -> None:
    ended = threading.Event()

    def hangs(_: int) -> None:
        ended.wait()
        raise Retry("was ended")

    delivery = Delivery("it", hangs, Remarks(), LIVE, QUICK, size_of=lambda _: 1, abort=ended.set)
    for number in range(5):
        delivery.put(number)
    assert delivery.close(0.1) == 5
    assert ended.is_set()
    wait_until(
        lambda: not [each for each in threading.enumerate() if each.name == "delivery to it"],
        "the thread has ended",
    )


def test_receiver_that_asks_for_a_pause_gets_it() -> None:
    receiver = Receiver(Retry("answers 429", pause=0.5))
    delivery = deliver(receiver, Remarks())
    began = time.monotonic()
    delivery.put(1)
    wait_until(lambda: receiver.got, "the item arrived")
    assert time.monotonic() - began >= 0.5
    delivery.close()


def test_closing_while_the_receiver_is_away_ends_in_time_and_counts_what_is_left() -> None:
    receiver = Receiver(*[Retry("is away")] * 100_000)
    delivery = deliver(receiver, Remarks(), pauses=Pauses(longest=0.1))
    for number in range(5):
        delivery.put(number)
    assert delivery.close(0.3) == 5
    assert not receiver.got


def test_closing_while_the_receiver_hangs_ends_in_time() -> None:
    receiver = Receiver()
    receiver.open.clear()
    delivery = deliver(receiver, Remarks())
    for number in range(5):
        delivery.put(number)
    assert delivery.close(0.2) == 5
    delivery.put(5)
    assert delivery.close(0.2) == 6
    receiver.open.set()


def test_closing_in_a_long_pause_brings_what_is_left_to_a_receiver_that_is_back() -> None:
    receiver, remarks = Receiver(Retry("is away", pause=3600)), Remarks()
    delivery = deliver(receiver, remarks)
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


def test_fault_of_the_sender_is_a_loss_that_is_said_and_not_the_end() -> None:
    receiver, remarks = Receiver(ZeroDivisionError("x")), Remarks()
    delivery = deliver(receiver, remarks)
    delivery.put(1)
    delivery.put(2)
    assert delivery.close(60) == 1
    assert receiver.got == [2]
    assert remarks.texts[0] == "it gets no result, by a fault of this program (ZeroDivisionError: x)"
