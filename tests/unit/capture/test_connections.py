"""TCP handshakes, from packets to observations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_craft import NOW, Handshake

from network_mapper.capture.packets import PacketTracker
from network_mapper.model import Drop, Kind

CLIENT, SERVICE, POD, NODE = ("10.0.1.5", 40000), ("10.96.0.7", 80), ("10.0.2.9", 8080), ("192.168.0.4", 51000)
CLIENT6, SERVER6 = ("2001:db8::5", 40000), ("2001:db8::9", 8080)

STAMPS = pytest.mark.parametrize("stamp", [7, None], ids=["timestamps", "no timestamps"])


@pytest.fixture
def tracker():
    return PacketTracker()


def kinds(observations):
    return sorted((seen.kind.value, seen.count) for seen in observations)


@STAMPS
@pytest.mark.parametrize(("client", "server"), [(CLIENT, POD), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
def test_a_syn_and_its_syn_ack_are_a_connection_at_the_time_of_the_syn(tracker, client, server, stamp):
    shake = Handshake(client, server, stamp=stamp)
    tracker.feed(shake.syn(), NOW, 4)
    tracker.feed(shake.syn_ack(), NOW + 30, -4)
    (seen,) = tracker.drain(NOW + 1000)
    assert (seen.kind, seen.client, seen.server, seen.port) == (Kind.CONNECTIONS, client[0], *server)
    assert (seen.protocol, seen.count, seen.first, seen.last, seen.tap) == ("tcp", 1, NOW, NOW, 4)
    assert (seen.answered_by, seen.answered_port, seen.addresses) == ("", 0, ())
    assert not tracker.tally


@STAMPS
def test_a_connection_seen_at_four_taps_counts_once(tracker, stamp):
    shake = Handshake(CLIENT, POD, stamp=stamp)
    for tap in (4, 2, -2, -9):
        tracker.feed(shake.syn(), NOW, tap)
    for tap in (9, 2, -2, -4):
        tracker.feed(shake.syn_ack(), NOW, tap)
    (seen,) = tracker.flush(NOW)
    assert (seen.kind, seen.count, seen.tap) == (Kind.CONNECTIONS, 1, 4)


@pytest.mark.parametrize(
    ("stamp", "through"),
    [(7, CLIENT), (7, NODE), (None, CLIENT)],
    ids=["timestamps", "timestamps, masqueraded", "no timestamps"],
)
def test_a_translated_connection_is_dialled_at_the_service_and_answered_by_the_pod(tracker, stamp, through):
    shake = Handshake(CLIENT, SERVICE, stamp=stamp)
    tracker.feed(shake.syn(), NOW, 4)
    tracker.feed(shake.syn(client=through, server=POD), NOW, -9)
    tracker.feed(shake.syn_ack(client=through, server=POD), NOW, 9)
    tracker.feed(shake.syn_ack(), NOW, -4)
    (seen,) = tracker.flush(NOW)
    assert (seen.kind, seen.count, seen.client, seen.server, seen.port) == (Kind.CONNECTIONS, 1, CLIENT[0], *SERVICE)
    assert (seen.answered_by, seen.answered_port, seen.tap) == (*POD, 4)


def test_a_pod_that_reaches_itself_through_its_service_is_one_connection(tracker):
    shake = Handshake(CLIENT, SERVICE)
    back = (CLIENT[0], 8080)
    tracker.feed(shake.syn(), NOW, 4)
    tracker.feed(shake.syn(), NOW, 2)
    tracker.feed(shake.syn(client=NODE, server=back), NOW, -2)
    tracker.feed(shake.syn(client=NODE, server=back), NOW, -4)
    tracker.feed(shake.syn_ack(client=NODE, server=back), NOW, 4)
    tracker.feed(shake.syn_ack(), NOW, -4)
    (seen,) = tracker.flush(NOW)
    assert (seen.kind, seen.count, seen.client, seen.server) == (Kind.CONNECTIONS, 1, CLIENT[0], SERVICE[0])
    assert (seen.answered_by, seen.answered_port) == back


def test_in_a_file_without_interfaces_a_translated_connection_counts_once(tracker):
    shake = Handshake(CLIENT, SERVICE)
    tracker.feed(shake.syn(), NOW, 0)
    tracker.feed(shake.syn(server=POD), NOW, 0)
    tracker.feed(shake.syn_ack(server=POD), NOW, 0)
    (seen,) = tracker.flush(NOW)
    assert (seen.count, seen.server, seen.answered_by) == (1, SERVICE[0], POD[0])


def test_a_server_without_timestamps_is_recognised_at_the_clients_tap(tracker):
    shake = Handshake(CLIENT, SERVICE, server_stamp=None)
    tracker.feed(shake.syn(), NOW, 4)
    tracker.feed(shake.syn(server=POD), NOW, -9)
    tracker.feed(shake.syn_ack(server=POD), NOW, 9)
    tracker.feed(shake.syn_ack(), NOW, -4)
    assert kinds(tracker.flush(NOW)) == [("connections", 1)]


@STAMPS
def test_repeated_syns_are_the_same_connection(tracker, stamp):
    shake = Handshake(CLIENT, SERVICE, stamp=stamp)
    for delay in (0, 1000, 3000):
        later = None if stamp is None else stamp + delay
        tracker.feed(shake.syn(stamp=later), NOW + delay, 4)
        tracker.feed(shake.syn(stamp=later, server=SERVICE), NOW + delay, -9)
    shake.stamp = None if stamp is None else stamp + 3000
    tracker.feed(shake.syn_ack(), NOW + 3001, -4)
    (seen,) = tracker.flush(NOW + 3002)
    assert (seen.kind, seen.count, seen.first) == (Kind.CONNECTIONS, 1, NOW)


def test_a_repeated_syn_is_recognised_behind_translation(tracker):
    shake = Handshake(CLIENT, SERVICE)
    for delay in (0, 1000):
        tracker.feed(shake.syn(stamp=7 + delay), NOW + delay, 4)
        tracker.feed(shake.syn(stamp=7 + delay, server=POD, client=NODE), NOW + delay, -9)
    (seen,) = tracker.flush(NOW + 2000)
    assert (seen.kind, seen.count, seen.answered_by) == (Kind.ATTEMPTS, 1, POD[0])


@STAMPS
def test_a_refused_connection_is_an_attempt_at_once(tracker, stamp):
    shake = Handshake(CLIENT, POD, stamp=stamp)
    for tap in (4, -9):
        tracker.feed(shake.syn(), NOW, tap)
    for tap in (9, -4):
        tracker.feed(shake.rst(), NOW, tap)
    (seen,) = tracker.drain(NOW + 10)
    assert (seen.kind, seen.count, seen.server, seen.port) == (Kind.ATTEMPTS, 1, *POD)


def test_a_refusal_through_a_service_counts_once(tracker):
    shake = Handshake(CLIENT, SERVICE)
    tracker.feed(shake.syn(), NOW, 4)
    tracker.feed(shake.syn(server=POD), NOW, -9)
    tracker.feed(shake.rst(server=POD), NOW, 9)
    tracker.feed(shake.rst(), NOW, -4)
    (seen,) = tracker.flush(NOW)
    assert (seen.kind, seen.count, seen.answered_by) == (Kind.ATTEMPTS, 1, POD[0])


@STAMPS
def test_silence_of_four_seconds_is_an_attempt_and_repetitions_add_none(tracker, stamp):
    shake = Handshake(CLIENT, POD, stamp=stamp)
    counted = []
    for second in range(128):
        when = NOW + second * 1000
        if second in (0, 1, 3, 7, 15, 31, 63):
            for tap in (4, -9):
                tracker.feed(shake.syn(stamp=None if stamp is None else stamp + second), when, tap)
        counted += [(second, seen.kind, seen.count, seen.first) for seen in tracker.drain(when)]
    assert counted == [(4, Kind.ATTEMPTS, 1, NOW)]


def test_a_repetition_that_is_answered_after_the_silence_is_a_connection(tracker):
    shake = Handshake(CLIENT, POD)
    tracker.feed(shake.syn(), NOW, 4)
    assert kinds(tracker.drain(NOW + 5000)) == [("attempts", 1)]
    tracker.feed(shake.syn(stamp=7007), NOW + 7000, 4)
    shake.stamp = 7007
    tracker.feed(shake.syn_ack(), NOW + 7001, -4)
    tracker.feed(shake.syn_ack(), NOW + 7001, -4)
    assert kinds(tracker.flush(NOW + 8000)) == [("connections", 1)]


def test_the_end_of_the_capture_makes_open_connections_attempts(tracker):
    tracker.feed(Handshake(CLIENT, POD).syn(), NOW, 4)
    assert tracker.drain(NOW + 100) == []
    assert kinds(tracker.flush(NOW + 200)) == [("attempts", 1)]


def test_a_port_scan_with_one_sequence_number_and_no_timestamps_is_not_merged(tracker):
    targets = [(f"10.0.2.{n}", 80) for n in range(1, 21)]
    for target in targets:
        shake = Handshake(CLIENT, target, isn=42, stamp=None)
        tracker.feed(shake.syn(), NOW, 4)
        tracker.feed(shake.syn(), NOW, -9)
    assert {(seen.server, seen.count) for seen in tracker.flush(NOW)} == {(target[0], 1) for target in targets}


def test_a_port_scan_from_the_node_over_several_interfaces_is_not_merged(tracker):
    for number in range(1, 21):
        tracker.feed(Handshake(NODE, (f"10.0.2.{number}", 80), isn=42, stamp=None).syn(), NOW, -number)
    assert len(tracker.flush(NOW)) == 20


def test_crafted_syns_with_one_timestamp_and_sequence_number_are_not_merged(tracker):
    for number in range(1, 21):
        tracker.feed(Handshake(CLIENT, (f"10.0.2.{number}", 80), isn=42).syn(), NOW, 4)
    assert len(tracker.flush(NOW)) == 20


def test_without_timestamps_only_what_follows_at_once_is_a_translation(tracker):
    for tap, target, delay in ((4, SERVICE, 0), (5, POD, 1500)):
        tracker.feed(Handshake(CLIENT, target, stamp=None).syn(), NOW + delay, tap)
    assert {seen.server for seen in tracker.flush(NOW + 1500)} == {SERVICE[0], POD[0]}


def test_translation_of_the_client_alone_leaves_the_server_that_was_dialled(tracker):
    shake = Handshake(CLIENT, POD)
    tracker.feed(shake.syn(), NOW, 4)
    tracker.feed(shake.syn(client=NODE), NOW, -3)
    tracker.feed(shake.syn_ack(client=NODE), NOW, 3)
    (seen,) = tracker.flush(NOW)
    assert (seen.client, seen.server, seen.answered_by, seen.answered_port) == (CLIENT[0], POD[0], "", 0)


def test_crafted_syns_are_not_taken_for_translations_of_one_another(tracker):
    targets = [("10.0.2.1", 80), ("10.0.2.2", 80)]
    for tap in (4, -9):
        for target in targets:
            tracker.feed(Handshake(CLIENT, target, isn=42).syn(), NOW, tap)
    assert {(seen.server, seen.count, seen.answered_by) for seen in tracker.flush(NOW)} == {
        (target[0], 1, "") for target in targets
    }


def test_the_same_stamp_in_the_other_family_is_another_connection(tracker):
    tracker.feed(Handshake(CLIENT, POD).syn(), NOW, 4)
    tracker.feed(Handshake(CLIENT6, SERVER6).syn(), NOW, 5)
    assert len(tracker.flush(NOW)) == 2


def test_the_same_ports_with_another_sequence_number_are_another_connection(tracker):
    for isn in (1, 2, 3):
        shake = Handshake(CLIENT, POD, isn=isn, stamp=isn)
        tracker.feed(shake.syn(), NOW, 4)
        tracker.feed(shake.syn_ack(), NOW, -4)
    assert kinds(tracker.flush(NOW)) == [("connections", 3)]


def test_the_highest_sequence_number_wraps(tracker):
    shake = Handshake(CLIENT, POD, isn=2**32 - 1)
    tracker.feed(shake.syn(), NOW, 4)
    tracker.feed(shake.syn_ack(), NOW, -4)
    assert kinds(tracker.flush(NOW)) == [("connections", 1)]


@pytest.mark.parametrize(("syn_flags", "answer_flags"), [("SEC", "SAE"), ("SEC", "SA"), ("SP", "SA")])
def test_congestion_notification_and_push_do_not_matter(tracker, syn_flags, answer_flags):
    shake = Handshake(CLIENT, POD)
    tracker.feed(shake.syn(flags=syn_flags), NOW, 4)
    tracker.feed(shake.syn_ack(flags=answer_flags), NOW, -4)
    assert kinds(tracker.flush(NOW)) == [("connections", 1)]


@STAMPS
@pytest.mark.parametrize("accepted", [True, False])
def test_fast_open_counts_whether_its_data_is_accepted_or_not(tracker, stamp, accepted):
    shake = Handshake(CLIENT, POD, stamp=stamp)
    tracker.feed(shake.syn(payload=b"GET / HTTP/1.1\r\n"), NOW, 4)
    tracker.feed(shake.syn_ack(acknowledged=17 if accepted else 1), NOW, -4)
    assert kinds(tracker.flush(NOW)) == [("connections", 1)]


def test_a_refused_fast_open_is_an_attempt(tracker):
    shake = Handshake(CLIENT, POD)
    tracker.feed(shake.syn(payload=b"GET / HTTP/1.1\r\n"), NOW, 4)
    tracker.feed(shake.rst(acknowledged=17), NOW, -4)
    assert kinds(tracker.drain(NOW)) == [("attempts", 1)]


@pytest.mark.parametrize("acknowledged", [0, 2, 1000])
def test_an_answer_to_another_sequence_number_decides_nothing(tracker, acknowledged):
    shake = Handshake(CLIENT, POD)
    tracker.feed(shake.syn(), NOW, 4)
    tracker.feed(shake.syn_ack(acknowledged=acknowledged), NOW, -4)
    tracker.feed(shake.rst(acknowledged=acknowledged), NOW, -4)
    assert tracker.drain(NOW) == []


def test_an_answer_without_a_syn_makes_nothing(tracker):
    tracker.feed(Handshake(CLIENT, POD).syn_ack(), NOW, 4)
    tracker.feed(Handshake(CLIENT, POD).rst(), NOW, 4)
    assert tracker.flush(NOW) == []


@pytest.mark.parametrize("flags", ["SF", "SR", "A", "PA", "FA", ""])
def test_other_flags_open_nothing(tracker, flags):
    tracker.feed(Handshake(CLIENT, POD).syn(flags=flags), NOW, 4)
    assert tracker.flush(NOW) == []


def test_when_the_table_is_full_the_oldest_open_connection_is_given_up_and_counted():
    tracker = PacketTracker(connections=4)
    shakes = [Handshake((CLIENT[0], 40000 + n), POD, isn=n, stamp=n) for n in range(6)]
    for shake in shakes:
        tracker.feed(shake.syn(), NOW, 4)
    for shake in shakes:
        tracker.feed(shake.syn_ack(), NOW, -4)
    assert kinds(tracker.flush(NOW)) == [("connections", 4)]
    assert tracker.tally == {Drop.CONNECTION_TABLE_FULL: 2}


def test_a_table_full_of_waiting_connections_gives_up_the_oldest():
    tracker = PacketTracker(connections=4)
    for number in range(4):
        tracker.feed(Handshake((CLIENT[0], 40000 + number), POD, isn=number, stamp=number).syn(), NOW, 4)
    assert tracker.drain(NOW + 3000) == []
    late = Handshake((CLIENT[0], 50000), POD, isn=9, stamp=9)
    tracker.feed(late.syn(), NOW + 3000, 4)
    tracker.feed(late.syn_ack(), NOW + 3000, -4)
    assert kinds(tracker.flush(NOW + 3001)) == [("attempts", 3), ("connections", 1)]
    assert tracker.tally == {Drop.CONNECTION_TABLE_FULL: 1}


def test_answered_connections_make_room_before_anything_is_given_up():
    tracker = PacketTracker(connections=4)
    for number in range(50):
        shake = Handshake((CLIENT[0], 40000 + number), POD, isn=number, stamp=number)
        tracker.feed(shake.syn(), NOW, 4)
        tracker.feed(shake.syn_ack(), NOW, -4)
    assert kinds(tracker.flush(NOW)) == [("connections", 50)]
    assert not tracker.tally


@pytest.mark.parametrize("stamped", [True, False])
def test_nothing_stays_when_all_connections_are_old(tracker, stamped):
    for number in range(200):
        shake = Handshake((CLIENT[0], 40000 + number), SERVICE, isn=number, stamp=number if stamped else None)
        tracker.feed(shake.syn(payload=b"x" * (number % 2)), NOW, 4)
        if number % 3:
            tracker.feed(shake.syn_ack(), NOW, -4)
    for second in range(1, 300):
        tracker.drain(NOW + second * 1000)
    table = tracker._connections
    assert not table._known
    assert not table._untimed
    assert not table._recent
    assert not table._waiting
    assert not table._silent | table._silent_before


def test_a_clock_that_is_set_back_does_not_hold_connections(tracker):
    tracker.feed(Handshake(CLIENT, POD).syn(), NOW, 4)
    back = NOW - 3_600_000
    assert kinds(tracker.drain(back)) == [("attempts", 1)]
    shake = Handshake(CLIENT, POD, isn=5, stamp=5)
    tracker.feed(shake.syn(), back, 4)
    tracker.feed(shake.syn_ack(), back, -4)
    assert kinds(tracker.drain(back)) == [("connections", 1)]


@given(st.data())
def test_however_taps_and_connections_interleave_each_counts_once(data):
    """Each connection passes its own taps in order; connections mix in any order."""
    tracker = PacketTracker()
    queues = []
    expected = {Kind.CONNECTIONS: 0, Kind.ATTEMPTS: 0}
    for number in range(data.draw(st.integers(1, 6))):
        stamp = data.draw(st.sampled_from([number, None]))
        translated = data.draw(st.booleans())
        outcome = data.draw(st.sampled_from(["answered", "refused", "silent"]))
        shake = Handshake((CLIENT[0], 40000 + number), SERVICE, isn=number * 7919, stamp=stamp)
        there = {"server": POD} if translated else {}
        answer = shake.syn_ack if outcome == "answered" else shake.rst
        packets = [(shake.syn(), 4), (shake.syn(), 2), (shake.syn(**there), -9)]
        if outcome != "silent":
            packets += [(answer(**there), 9), (answer(), -4)]
        expected[Kind.CONNECTIONS if outcome == "answered" else Kind.ATTEMPTS] += 1
        queues.append(packets)
    while queues:
        queue = data.draw(st.sampled_from(queues))
        tracker.feed(queue[0][0], NOW, queue[0][1])
        del queue[0]
        queues = [each for each in queues if each]
    found = tracker.flush(NOW)
    assert {kind: sum(seen.count for seen in found if seen.kind == kind) for kind in expected} == expected
