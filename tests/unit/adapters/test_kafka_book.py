"""What of a partition may be committed, and what is handed out again."""

from collections.abc import Sequence

from stepbus.adapters.kafka.book import Book, Hand, Held, Memory
from stepbus.orchestrator.ports import Delivery

ACK_WAIT_S = 10.0


def book_of(count: int, memory: Memory | None = None, partition: int = 0) -> Book:
    book = Book(ACK_WAIT_S, {} if memory is None else memory)
    book.take_in([Held(partition, offset, "jobs.a", b"%d" % offset, {}) for offset in range(count)], 0.0)
    return book


def offsets(deliveries: Sequence[Delivery]) -> list[int]:
    return [delivery.receipt.offset for delivery in deliveries]


def test_only_what_comes_before_the_first_undone_may_be_committed() -> None:
    book = book_of(4)
    out = book.hand_out(Hand(10), 10, 0.0)

    for index in (3, 1):
        book.done(out[index].receipt)
    assert book.to_commit() == {}
    book.done(out[0].receipt)
    assert book.to_commit() == {0: 2}

    book.committed({0: 2})
    assert book.to_commit() == {}
    book.done(out[2].receipt)
    assert book.to_commit() == {0: 4}


def test_partitions_are_committed_apart() -> None:
    book = book_of(2)
    book.take_in([Held(1, 7, "jobs.a", b"", {})], 0.0)
    out = book.hand_out(Hand(10), 10, 0.0)

    book.done(out[2].receipt)

    assert book.to_commit() == {1: 8}


def test_a_hand_holds_no_more_than_its_size_and_what_waits_for_its_delay_is_not_in_it() -> None:
    book, hand = book_of(5), Hand(2)
    first, second = book.hand_out(hand, 10, 0.0)
    assert offsets(book.hand_out(hand, 10, 0.0)) == []

    book.give_back(first.receipt, first.count, 3.0, 0.0)
    assert offsets(book.hand_out(hand, 10, 0.0)) == [2]
    book.done(second.receipt)
    assert offsets(book.hand_out(hand, 10, 0.0)) == [3]


def test_what_was_not_acked_in_time_is_handed_out_again_and_counted() -> None:
    book, hand = book_of(1), Hand(1)
    [first] = book.hand_out(hand, 1, 0.0)

    assert not book.to_be_given_again(ACK_WAIT_S - 0.1)
    assert book.to_be_given_again(ACK_WAIT_S)

    [again] = book.hand_out(hand, 1, ACK_WAIT_S)
    assert (first.count, again.count) == (1, 2)


def test_an_extension_gives_the_whole_time_again() -> None:
    book, hand = book_of(1), Hand(1)
    [out] = book.hand_out(hand, 1, 0.0)

    book.extend(out.receipt, out.count, 8.0)

    assert not book.to_be_given_again(17.9)
    assert book.to_be_given_again(18.0)


def test_who_had_it_before_can_ack_it_but_not_give_it_back() -> None:
    book, hand = book_of(1), Hand(2)
    [first] = book.hand_out(hand, 1, 0.0)
    book.to_be_given_again(ACK_WAIT_S)
    book.hand_out(hand, 1, ACK_WAIT_S)

    book.give_back(first.receipt, first.count, 0.0, ACK_WAIT_S)
    assert not book.has_waiting

    book.done(first.receipt)
    assert book.to_commit() == {0: 1}
    assert hand.out == 0


def test_what_was_done_while_it_waited_is_not_handed_out() -> None:
    book, hand = book_of(2), Hand(2)
    [first] = book.hand_out(hand, 1, 0.0)
    book.give_back(first.receipt, first.count, 0.0, 0.0)

    book.done(first.receipt)

    assert offsets(book.hand_out(hand, 2, 0.0)) == [1]
    assert book.room(2) == 1


def test_a_forgotten_partition_commits_nothing_and_late_acks_are_moot() -> None:
    book, hand = book_of(2), Hand(2)
    out = book.hand_out(hand, 2, 0.0)

    book.forget([0])
    for delivery in out:
        book.done(delivery.receipt)
        book.give_back(delivery.receipt, delivery.count, 0.0, 0.0)

    assert (book.to_commit(), hand.out, book.room(2), book.has_waiting) == ({}, 0, 2, False)


def test_what_was_fetched_twice_is_held_once() -> None:
    book = book_of(3)

    book.take_in([Held(0, offset, "jobs.a", b"", {}) for offset in range(5)], 0.0)

    assert offsets(book.hand_out(Hand(10), 10, 0.0)) == [0, 1, 2, 3, 4]


def test_the_next_book_knows_what_is_still_with_somebody_and_how_often_the_rest_was_delivered() -> None:
    memory: Memory = {}
    book, hand = book_of(3, memory), Hand(10)
    out = book.hand_out(hand, 2, 0.0)
    book.give_back(out[1].receipt, out[1].count, 0.0, 0.0)
    book.stop_waiting()
    assert not book.hand_out(hand, 10, 0.0)

    following, other_hand = book_of(3, memory), Hand(10)

    assert [(one.receipt.offset, one.count) for one in following.hand_out(other_hand, 10, 1.0)] == [(1, 2), (2, 1)]
    following.to_be_given_again(ACK_WAIT_S)
    assert [(one.receipt.offset, one.count) for one in following.hand_out(other_hand, 1, ACK_WAIT_S)] == [(0, 2)]


def test_what_an_earlier_book_handed_out_can_be_struck_out_of_the_next() -> None:
    memory: Memory = {}
    book = book_of(2, memory)
    book.hand_out(Hand(1), 1, 0.0)
    book.stop_waiting()
    following = book_of(2, memory)

    following.done_elsewhere(0, 0)

    assert following.to_commit() == {0: 1}


def test_a_topic_that_was_made_again_is_read_from_where_it_begins() -> None:
    book, hand = book_of(4), Hand(10)
    for delivery in book.hand_out(hand, 2, 0.0):
        book.done(delivery.receipt)
    book.committed(book.to_commit())

    book.take_in([Held(0, offset, "jobs.a", b"new %d" % offset, {}) for offset in range(2)], 0.0)

    assert [one.body for one in book.hand_out(hand, 10, 0.0)] == [b"new 0", b"new 1"]


def test_a_message_in_the_place_of_another_is_of_a_topic_that_was_made_again() -> None:
    book, hand = book_of(2), Hand(10)
    book.hand_out(hand, 2, 0.0)

    book.take_in([Held(0, 0, "jobs.a", b"new", {})], 0.0)

    assert [one.body for one in book.hand_out(hand, 10, 0.0)] == [b"new"]
    assert hand.out == 1


def test_a_partition_is_read_on_only_if_nobody_else_committed_it() -> None:
    book = book_of(3)
    assert [book.goes_on(0, committed) for committed in (None, 0, 1)] == [3, 3, None]

    book.committed({0: 2})

    assert [book.goes_on(0, committed) for committed in (None, 0, 2, 3)] == [None, None, 3, None]
    assert book.goes_on(1, None) is None
