"""Every reason for which something that was seen does not reach the map, in one closed list.

At each hop `seen = passed on + dropped{reason}` holds, so a number that is missing from the map is in one of these
counters. There is no reason "other": a new way to lose something is a new line here, with its unit and a sentence that
a person who stands before an empty map can use.
"""

from __future__ import annotations

import enum
from typing import Self


class Hop(enum.StrEnum):
    """Where on its way an observation was dropped."""

    KERNEL = "kernel"
    CAPTURE = "capture"
    FOLD = "fold"
    TRANSPORT = "transport"
    INTAKE = "intake"
    RESOLVE = "resolve"
    GRAPH = "graph"
    STORE = "store"


class Drop(enum.StrEnum):
    """A reason. `hop`, `unit` and `text` say where it happens, what is counted, and what it means."""

    hop: Hop
    unit: str
    text: str

    @property
    def is_loss(self) -> bool:
        """Whether what is dropped should be in the map; the rest is no part of it, or is counted elsewhere."""
        return self in _LOSSES

    def __new__(cls, value: str, hop: Hop, unit: str, text: str) -> Self:
        """Make a member whose value is its name on the wire."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.hop, member.unit, member.text = hop, unit, text
        return member

    RING_OVERFLOW = ("ring_overflow", Hop.KERNEL, "packets", "the packet ring was full: raise --ring-size")
    PACKET_MALFORMED = ("packet_malformed", Hop.CAPTURE, "packets", "a packet's headers were cut short or inconsistent")
    PACKET_IRRELEVANT = ("packet_irrelevant", Hop.CAPTURE, "packets", "opens no connection and carries no DNS")
    PACKET_COPY = ("packet_copy", Hop.CAPTURE, "packets", "was seen already, at another interface of the node")
    SYN_REPEATED = ("syn_repeated", Hop.CAPTURE, "packets", "a client that had no answer knocked again")
    ANSWER_REPEATED = ("answer_repeated", Hop.CAPTURE, "packets", "a connection's answer once more: a copy or repeated")
    ANSWER_UNASKED = ("answer_unasked", Hop.CAPTURE, "packets", "answers no SYN that was seen here between these addresses")
    FILE_DAMAGED = ("file_damaged", Hop.CAPTURE, "files", "a capture file ended early or contradicted itself")
    LINK_UNKNOWN = ("link_unknown", Hop.CAPTURE, "packets", "a capture file has a link type that is not understood")
    DNS_MALFORMED = (
        "dns_malformed",
        Hop.CAPTURE,
        "messages",
        "a DNS message cannot be decoded, or goes the wrong way",
    )
    DNS_UNASKED = ("dns_unasked", Hop.CAPTURE, "messages", "a DNS answer to a question not asked here by that client")
    DNS_FAILED = ("dns_failed", Hop.CAPTURE, "messages", "the DNS server answered with an error other than NXDOMAIN")
    DNS_NXDOMAIN = ("dns_nxdomain", Hop.CAPTURE, "messages", "the name that was asked for does not exist")
    DNS_NO_ADDRESS = ("dns_no_address", Hop.CAPTURE, "messages", "the DNS answer holds no address for the name")
    DNS_TABLE_FULL = ("dns_table_full", Hop.CAPTURE, "messages", "too many unanswered DNS questions at once")
    DNS_CLIENT_FULL = (
        "dns_client_full",
        Hop.CAPTURE,
        "messages",
        "one client, or all behind one interface, have more unanswered DNS questions than their share",
    )
    DNS_COPY = (
        "dns_copy",
        Hop.CAPTURE,
        "messages",
        "a DNS message that was seen already, at another interface or again",
    )
    DNS_UNANSWERED = ("dns_unanswered", Hop.CAPTURE, "messages", "a DNS question without an answer for half a minute")
    DNS_STREAM_LOST = ("dns_stream_lost", Hop.CAPTURE, "messages", "a DNS message over TCP had a gap or was too long")
    CONNECTION_TABLE_FULL = (
        "connection_table_full",
        Hop.CAPTURE,
        "packets",
        "too many connection attempts at once: the oldest is given up",
    )
    CONNECTION_CLIENT_FULL = (
        "connection_client_full",
        Hop.CAPTURE,
        "packets",
        "one client, or all behind one interface, have more connection attempts at once than their share",
    )
    PAIRS_FULL = ("pairs_full", Hop.CAPTURE, "observations", "too many different address pairs within one second")
    PAIRS_CLIENT_FULL = (
        "pairs_client_full",
        Hop.CAPTURE,
        "observations",
        "one client, or all behind one interface, have more address pairs within one second than their share",
    )
    SWITCHED_OFF = (
        "switched_off",
        Hop.CAPTURE,
        "observations",
        "this kind of evidence is switched off at the sniffer (--no-enable-dns, -tcp, -sockets)",
    )
    SOCKET_TABLE_UNREADABLE = (
        "socket_table_unreadable",
        Hop.CAPTURE,
        "tables",
        "a socket table in /proc could not be read",
    )
    SOCKET_MALFORMED = ("socket_malformed", Hop.CAPTURE, "sockets", "a line of a socket table could not be decoded")
    SOCKET_SIDE_UNKNOWN = (
        "socket_side_unknown",
        Hop.CAPTURE,
        "sockets",
        "an open socket's ports do not tell which side opened it",
    )

    SOCKET_SERVER_SIDE = (
        "socket_server_side",
        Hop.CAPTURE,
        "sockets",
        "the end of an open connection that did not open it: the other end counts",
    )
    SOCKET_PAIRS_FULL = (
        "socket_pairs_full",
        Hop.CAPTURE,
        "sockets",
        "too many different address pairs in the tables of one network namespace",
    )

    FOLD_FULL = ("fold_full", Hop.FOLD, "observations", "too many different edges wait to be reported")

    FOLD_CLIENT_FULL = (
        "fold_client_full",
        Hop.FOLD,
        "observations",
        "one client, or all behind one interface, have more edges that wait to be reported than their share",
    )

    REPORT_REFUSED = ("report_refused", Hop.TRANSPORT, "observations", "the mapper refused a report for good")
    PODS_FULL = ("pods_full", Hop.TRANSPORT, "pods", "too many pods of the node wait to be told to the mapper")
    PODS_REFUSED = ("pods_refused", Hop.TRANSPORT, "pods", "the mapper refused a report that told of pods")
    STOPPED_UNSENT = ("stopped_unsent", Hop.TRANSPORT, "observations", "the sniffer stopped while no mapper answered")

    REPORT_MALFORMED = ("report_malformed", Hop.INTAKE, "reports", "a report could not be decoded at all")
    REPORT_HELD_TOO_LONG = (
        "report_held_too_long",
        Hop.INTAKE,
        "reports",
        "a report of a sender that cannot retry waited two seconds and was refused",
    )
    REPORT_SWITCHED_OFF = (
        "report_switched_off",
        Hop.INTAKE,
        "observations",
        "the mapper is set not to take this kind of evidence (--no-enable-dns, -tcp, -sockets)",
    )
    REPORT_ASKED_AGAIN = (
        "report_asked_again",
        Hop.INTAKE,
        "reports",
        "a report could not be taken just then: its sender keeps it and sends it again",
    )
    REPORT_REPEATED = ("report_repeated", Hop.INTAKE, "reports", "a report that was counted already came again")
    HELD_TOO_LONG = (
        "held_too_long",
        Hop.INTAKE,
        "observations",
        "in a report of a sender that cannot retry, which waited two seconds and was refused",
    )
    REPEATED = ("repeated", Hop.INTAKE, "observations", "in a report that was counted already and came again")
    ROW_MALFORMED = ("row_malformed", Hop.INTAKE, "observations", "a row had missing fields or wrong types")
    ADDRESS_INVALID = ("address_invalid", Hop.INTAKE, "observations", "an address is empty, no address, or has a zone")
    TIME_INVALID = (
        "time_invalid",
        Hop.INTAKE,
        "observations",
        "a time lies before 1970 or its span ends before it begins",
    )
    TIME_IN_FUTURE = ("time_in_future", Hop.INTAKE, "observations", "a time lies in the future: check the node's clock")
    BEFORE_RESET = ("before_reset", Hop.INTAKE, "observations", "seen before the map was reset")

    LOOPBACK = ("loopback", Hop.RESOLVE, "observations", "a client that talks to itself over loopback makes no edge")
    NEVER_SEEN = (
        "never_seen",
        Hop.RESOLVE,
        "observations",
        "an address of the cluster's own, and nobody told within a minute whose it was at that time",
    )
    CLIENT_UNKNOWN = (
        "client_unknown",
        Hop.RESOLVE,
        "observations",
        "no pod or node had the client's address at that time",
    )
    CLIENT_IS_SERVICE = ("client_is_service", Hop.RESOLVE, "observations", "the client's address belongs to a service")
    SERVER_UNKNOWN = ("server_unknown", Hop.RESOLVE, "observations", "nothing had the server's address at that time")
    NAME_UNKNOWN = (
        "name_unknown",
        Hop.RESOLVE,
        "observations",
        "a name inside the cluster domain that is no service or pod",
    )
    HOSTNAME_MISMATCH = (
        "hostname_mismatch",
        Hop.RESOLVE,
        "observations",
        "the pod that had the address has another name than the reporter says",
    )
    POD_UNKNOWN = (
        "pod_unknown",
        Hop.RESOLVE,
        "observations",
        "a watcher named a pod or an application that does not exist",
    )
    NAMESPACE_EXCLUDED = (
        "namespace_excluded",
        Hop.RESOLVE,
        "observations",
        "one end is in a namespace that is left out (--excluded-namespaces)",
    )
    EXTERNAL_LEFT_OUT = (
        "external_left_out",
        Hop.RESOLVE,
        "observations",
        "one end is outside the cluster, and such edges are switched off (--no-capture-external)",
    )
    BOTH_EXTERNAL = ("both_external", Hop.RESOLVE, "observations", "neither end belongs to the cluster")
    SEEN_ELSEWHERE = ("seen_elsewhere", Hop.RESOLVE, "observations", "another node counts it: the client runs there")

    DETAILS_FULL = (
        "details_full",
        Hop.GRAPH,
        "details",
        "an edge has as many paths, topics or actions as it may: the request is counted, its name is not kept",
    )
    EDGES_FULL = ("edges_full", Hop.GRAPH, "observations", "the map holds as many edges as it may: raise --max-edges")


_LOSSES = frozenset(
    (
        Drop.RING_OVERFLOW,
        Drop.FILE_DAMAGED,
        Drop.DNS_TABLE_FULL,
        Drop.DNS_STREAM_LOST,
        Drop.CONNECTION_TABLE_FULL,
        Drop.CONNECTION_CLIENT_FULL,
        Drop.DNS_CLIENT_FULL,
        Drop.PAIRS_FULL,
        Drop.PAIRS_CLIENT_FULL,
        Drop.SOCKET_TABLE_UNREADABLE,
        Drop.SOCKET_PAIRS_FULL,
        Drop.FOLD_FULL,
        Drop.FOLD_CLIENT_FULL,
        Drop.REPORT_REFUSED,
        Drop.STOPPED_UNSENT,
        Drop.REPORT_MALFORMED,
        Drop.HELD_TOO_LONG,
        Drop.ROW_MALFORMED,
        Drop.TIME_INVALID,
        Drop.TIME_IN_FUTURE,
        Drop.NEVER_SEEN,
        Drop.CLIENT_UNKNOWN,
        Drop.SERVER_UNKNOWN,
        Drop.POD_UNKNOWN,
        Drop.DETAILS_FULL,
        Drop.EDGES_FULL,
    )
)


class Tally(dict[Drop, int]):
    """A counter per reason."""

    def add(self, reason: Drop, count: int = 1) -> None:
        """Count `count` more for `reason`."""
        self[reason] = self.get(reason, 0) + count
