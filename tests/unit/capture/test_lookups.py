"""DNS over UDP, from packets to observations."""

import pytest
from packet_craft import NOW, answer, datagram, question

from network_mapper.capture.packets import PacketTracker
from network_mapper.model import Drop, Kind

CLIENT, OTHER, SERVICE, POD, NODE = "10.0.1.5", "10.0.1.6", "10.96.0.10", "10.0.2.9", "192.168.0.4"
NAME = "api.shop.svc.cluster.local."


def ask(message, *, client=CLIENT, port=40000, server=SERVICE):
    return datagram(client, port, server, 53, message)


def tell(message, *, client=CLIENT, port=40000, server=SERVICE):
    return datagram(server, 53, client, port, message)


@pytest.fixture
def tracker():
    return PacketTracker()


@pytest.fixture
def asked():
    return question(NAME)


@pytest.fixture
def told(asked):
    return answer(asked, (NAME, "A", "10.96.7.7"))


def test_an_answer_to_a_question_is_a_lookup_by_its_client(tracker, asked, told):
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(tell(told), NOW + 3, -4)
    (seen,) = tracker.drain(NOW + 1000)
    assert (seen.kind, seen.client, seen.server, seen.port) == (Kind.LOOKUPS, CLIENT, "api.shop.svc.cluster.local", 0)
    assert (seen.protocol, seen.count, seen.first, seen.last) == ("udp", 1, NOW + 3, NOW + 3)
    assert (seen.tap, seen.addresses) == (4, ("10.96.7.7",))
    assert not tracker.tally


def test_an_exchange_over_ipv6_is_a_lookup(tracker, asked, told):
    tracker.feed(datagram("2001:db8::5", 40000, "2001:db8::a", 53, asked), NOW, 4)
    tracker.feed(datagram("2001:db8::a", 53, "2001:db8::5", 40000, told), NOW, -4)
    assert [seen.client for seen in tracker.drain(NOW)] == ["2001:db8::5"]


def test_an_exchange_seen_at_four_taps_counts_once(tracker, asked, told):
    for tap in (4, 2, -2, -9):
        tracker.feed(ask(asked), NOW, tap)
    for tap in (9, 2, -2, -4):
        tracker.feed(tell(told), NOW + 1, tap)
    (seen,) = tracker.drain(NOW)
    assert (seen.count, seen.tap) == (1, 4)
    assert not tracker.tally


def test_translation_of_the_server_does_not_matter(tracker, asked, told):
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(ask(asked, server=POD), NOW, -9)
    tracker.feed(tell(told, server=POD), NOW + 1, 9)
    tracker.feed(tell(told), NOW + 1, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [1]
    assert not tracker.tally


def test_translation_of_the_client_on_its_way_out_leaves_the_client(tracker, asked, told):
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(ask(asked, client=NODE, port=51000), NOW, -3)
    tracker.feed(tell(told, client=NODE, port=51000), NOW + 1, 3)
    tracker.feed(tell(told), NOW + 1, -4)
    assert [(seen.client, seen.tap, seen.count) for seen in tracker.drain(NOW)] == [(CLIENT, 4, 1)]
    assert not tracker.tally


def test_a_process_of_the_node_that_asks_the_same_later_is_its_own_client(tracker, asked, told):
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(ask(asked, client=NODE), NOW + 1500, -3)
    tracker.feed(tell(told, client=NODE), NOW + 1501, 3)
    assert [seen.client for seen in tracker.drain(NOW)] == [NODE]


def test_two_clients_with_the_same_identifier_count_each(tracker, asked, told):
    for client, tap in ((CLIENT, 4), (OTHER, 5)):
        tracker.feed(ask(asked, client=client), NOW, tap)
    for client, tap in ((CLIENT, -4), (OTHER, -5)):
        tracker.feed(tell(told, client=client), NOW, tap)
    assert {(seen.client, seen.tap) for seen in tracker.drain(NOW)} == {(CLIENT, 4), (OTHER, 5)}


def test_an_answer_that_nobody_asked_for_makes_nothing(tracker, told):
    tracker.feed(tell(told), NOW, 4)
    assert tracker.drain(NOW) == []
    assert tracker.tally == {Drop.DNS_UNASKED: 1}


@pytest.mark.parametrize("changed", ["ident", "name", "kind", "client", "port"])
def test_an_answer_that_differs_from_the_question_makes_nothing(tracker, asked, changed):
    other = {
        "ident": lambda: tell(answer(question(NAME, ident=78), (NAME, "A", "10.6.6.6"))),
        "name": lambda: tell(answer(question("web.shop."), ("web.shop.", "A", "10.6.6.6"))),
        "kind": lambda: tell(answer(question(NAME, "AAAA"), (NAME, "AAAA", "2001:db8::6"))),
        "client": lambda: tell(answer(asked, (NAME, "A", "10.6.6.6")), client=OTHER),
        "port": lambda: tell(answer(asked, (NAME, "A", "10.6.6.6")), port=40001),
    }
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(other[changed](), NOW, 4)
    assert tracker.drain(NOW) == []
    assert tracker.tally == {Drop.DNS_UNASKED: 1}


def test_an_answer_from_another_port_than_dns_makes_nothing(tracker, asked, told):
    tracker.feed(ask(asked, port=53), NOW, 4)
    tracker.feed(datagram(SERVICE, 5300, CLIENT, 53, told), NOW, 4)
    assert tracker.drain(NOW) == []
    assert tracker.tally == {Drop.DNS_UNASKED: 1}


def test_letter_case_of_question_and_answer_may_differ(tracker, asked):
    tracker.feed(ask(question("API.shop.SVC.cluster.local.")), NOW, 4)
    tracker.feed(tell(answer(asked, (NAME, "A", "10.96.7.7"))), NOW, -4)
    assert [seen.server for seen in tracker.drain(NOW)] == ["api.shop.svc.cluster.local"]


def test_the_name_is_the_one_asked_for_behind_aliases(tracker, asked):
    told = answer(
        asked, (NAME, "CNAME", "a.example."), ("a.example.", "CNAME", "b.example."), ("b.example.", "A", "10.1.1.1")
    )
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(tell(told), NOW, -4)
    (seen,) = tracker.drain(NOW)
    assert (seen.server, seen.addresses) == ("api.shop.svc.cluster.local", ("10.1.1.1",))


def test_the_same_question_after_its_answer_is_a_new_exchange(tracker, asked, told):
    for _ in range(2):
        tracker.feed(ask(asked), NOW, 4)
        tracker.feed(tell(told), NOW, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [2]


def test_a_repeated_question_gets_one_answer(tracker, asked, told):
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(ask(asked), NOW + 5000, 4)
    tracker.feed(tell(told), NOW + 5001, -4)
    tracker.feed(tell(told), NOW + 5001, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [1]
    assert not tracker.tally


def test_the_window_begins_anew_when_the_question_is_repeated(tracker, asked, told):
    for delay in (0, 25_000, 50_000):
        tracker.feed(ask(asked), NOW + delay, 4)
    tracker.feed(tell(told), NOW + 79_000, -4)
    assert [(seen.count, seen.tap) for seen in tracker.drain(NOW)] == [(1, 4)]


def test_long_messages_are_decoded_but_not_remembered(tracker, asked):
    records = [(NAME, "A", f"10.1.{number // 250}.{number % 250}") for number in range(300)]
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(datagram(SERVICE, 53, CLIENT, 40000, answer(asked, *records).to_wire(max_size=65535)), NOW, -4)
    assert len(tracker.drain(NOW)) == 1
    assert max(map(len, tracker._questions._decoded)) < 1500


@pytest.mark.parametrize(("delay", "counted"), [(14_000, 1), (29_900, 1), (30_001, 0), (3_600_000, 0)])
def test_an_answer_counts_only_within_the_window(tracker, asked, told, delay, counted):
    tracker.feed(ask(question("first.example.")), NOW - 1, 4)
    tracker.feed(ask(asked), NOW, 4)
    tracker.drain(NOW + delay // 2)
    tracker.drain(NOW + delay)
    tracker.feed(tell(told), NOW + delay, -4)
    assert len(tracker.drain(NOW + delay)) == counted
    assert tracker.tally.get(Drop.DNS_UNASKED, 0) == 1 - counted


@pytest.mark.parametrize(
    ("rcode", "reason"),
    [("NXDOMAIN", Drop.DNS_NXDOMAIN), ("SERVFAIL", Drop.DNS_FAILED), ("NOERROR", Drop.DNS_NO_ADDRESS)],
)
def test_an_answer_without_address_is_counted_once_by_its_reason(tracker, asked, rcode, reason):
    for tap in (4, -9):
        tracker.feed(ask(asked), NOW, tap)
    for tap in (9, -4):
        tracker.feed(tell(answer(asked, rcode=rcode)), NOW, tap)
    assert tracker.drain(NOW) == []
    assert tracker.tally == {reason: 1}


def test_a_message_that_cannot_be_decoded_is_counted_and_leaves_its_neighbours(tracker, asked, told):
    tracker.feed(ask(asked), NOW, 4)
    tracker.feed(tell(told.to_wire()[:-3]), NOW, -4)
    tracker.feed(tell(b"\x01"), NOW, -4)
    tracker.feed(tell(told), NOW, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [1]
    assert tracker.tally == {Drop.DNS_MALFORMED: 2}


def test_different_answers_are_different_observations(tracker, asked):
    for address in ("10.0.0.1", "10.0.0.2"):
        tracker.feed(ask(asked), NOW, 4)
        tracker.feed(tell(answer(asked, (NAME, "A", address))), NOW, -4)
    assert {seen.addresses for seen in tracker.drain(NOW)} == {("10.0.0.1",), ("10.0.0.2",)}


def test_when_the_table_is_full_the_oldest_questions_go_and_are_counted(asked):
    tracker = PacketTracker(questions=8)
    for port in range(40_000, 40_012):
        tracker.feed(ask(asked, port=port), NOW, 4)
    for port in range(40_000, 40_012):
        tracker.feed(tell(answer(asked, (NAME, "A", "10.0.0.1")), port=port), NOW, -4)
    assert [seen.count for seen in tracker.drain(NOW)] == [8]
    assert tracker.tally == {Drop.DNS_TABLE_FULL: 4, Drop.DNS_UNASKED: 4}


def test_a_clock_that_is_set_back_does_not_stop_lookups(tracker, asked, told):
    tracker.feed(ask(asked), NOW, 4)
    tracker.drain(NOW)
    tracker.feed(ask(asked, port=40001), NOW - 3_600_000, 4)
    tracker.feed(tell(told, port=40001), NOW - 3_600_000, -4)
    assert [seen.count for seen in tracker.drain(NOW - 3_600_000)] == [1]


def test_nothing_grows_with_distinct_exchanges_once_they_are_old(tracker):
    for number in range(1000):
        asked = question(f"n{number}.example.", ident=number)
        tracker.feed(ask(asked), NOW + number * 500, 4)
        tracker.feed(tell(answer(asked, rcode="NXDOMAIN")), NOW + number * 500, -4)
    questions = tracker._questions
    assert len(questions._asked) + len(questions._asked_before) == 0
    assert len(questions._incoming) + len(questions._incoming_before) == 0
    assert len(questions._answered) + len(questions._answered_before) < 100
    assert len(questions._decoded) + len(questions._decoded_before) <= 4096
