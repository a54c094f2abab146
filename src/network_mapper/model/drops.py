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

    CAPTURE = "capture"
    FOLD = "fold"
    TRANSPORT = "transport"
    INTAKE = "intake"
    RESOLVE = "resolve"
    GRAPH = "graph"


class Drop(enum.StrEnum):
    """A reason. `hop`, `unit` and `text` say where it happens, what is counted, and what it means."""

    hop: Hop
    unit: str
    text: str

    def __new__(cls, value: str, hop: Hop, unit: str, text: str) -> Self:
        """Make a member whose value is its name on the wire."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.hop, member.unit, member.text = hop, unit, text
        return member

    RING_OVERFLOW = ("ring_overflow", Hop.CAPTURE, "packets", "the packet ring was full: raise --ring-size")
    PACKET_MALFORMED = ("packet_malformed", Hop.CAPTURE, "packets", "a packet's headers were cut short or inconsistent")
    FILE_DAMAGED = ("file_damaged", Hop.CAPTURE, "files", "a capture file ended early or contradicted itself")
    LINK_UNKNOWN = ("link_unknown", Hop.CAPTURE, "packets", "a capture file has a link type that is not understood")
    DNS_MALFORMED = ("dns_malformed", Hop.CAPTURE, "packets", "a DNS message could not be decoded")
    DNS_UNASKED = ("dns_unasked", Hop.CAPTURE, "packets", "a DNS answer to a question not asked here by that client")
    DNS_FAILED = ("dns_failed", Hop.CAPTURE, "answers", "the DNS server answered with an error other than NXDOMAIN")
    DNS_NXDOMAIN = ("dns_nxdomain", Hop.CAPTURE, "answers", "the name that was asked for does not exist")
    DNS_NO_ADDRESS = ("dns_no_address", Hop.CAPTURE, "answers", "the DNS answer holds no address for the name")
    DNS_TABLE_FULL = ("dns_table_full", Hop.CAPTURE, "questions", "too many unanswered DNS questions at once")
    DNS_STREAM_LOST = ("dns_stream_lost", Hop.CAPTURE, "messages", "a DNS message over TCP had a gap or was too long")
    CONNECTION_TABLE_FULL = (
        "connection_table_full",
        Hop.CAPTURE,
        "connections",
        "too many connection attempts at once",
    )
    PAIRS_FULL = ("pairs_full", Hop.CAPTURE, "observations", "too many different address pairs within one second")
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

    FOLD_FULL = ("fold_full", Hop.FOLD, "observations", "too many different edges wait to be reported")

    REPORT_REFUSED = ("report_refused", Hop.TRANSPORT, "rows", "the mapper refused a report for good")
    STOPPED_UNSENT = ("stopped_unsent", Hop.TRANSPORT, "rows", "the sniffer stopped while no mapper answered")

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
        "rows",
        "the mapper is set not to take this kind of evidence (--no-enable-dns, -tcp, -sockets)",
    )
    REPORT_REPEATED = ("report_repeated", Hop.INTAKE, "reports", "a report that was counted already came again")
    ROW_MALFORMED = ("row_malformed", Hop.INTAKE, "rows", "a row had missing fields or wrong types")
    ADDRESS_INVALID = ("address_invalid", Hop.INTAKE, "rows", "an address is empty, no address, or has a zone")
    TIME_INVALID = ("time_invalid", Hop.INTAKE, "rows", "a time lies before 1970 or its span ends before it begins")
    TIME_IN_FUTURE = ("time_in_future", Hop.INTAKE, "rows", "a time lies in the future: check the node's clock")
    BEFORE_RESET = ("before_reset", Hop.INTAKE, "rows", "seen before the map was reset")

    LOOPBACK = ("loopback", Hop.RESOLVE, "rows", "a client that talks to itself over loopback makes no edge")
    CLIENT_UNKNOWN = ("client_unknown", Hop.RESOLVE, "rows", "no pod or node had the client's address at that time")
    CLIENT_IS_SERVICE = ("client_is_service", Hop.RESOLVE, "rows", "the client's address belongs to a service")
    SERVER_UNKNOWN = ("server_unknown", Hop.RESOLVE, "rows", "nothing had the server's address at that time")
    NAME_UNKNOWN = ("name_unknown", Hop.RESOLVE, "rows", "a name inside the cluster domain that is no service or pod")
    HOSTNAME_MISMATCH = (
        "hostname_mismatch",
        Hop.RESOLVE,
        "rows",
        "the pod that had the address has another name than the reporter says",
    )
    POD_UNKNOWN = ("pod_unknown", Hop.RESOLVE, "rows", "a watcher named a pod or an application that does not exist")
    NAMESPACE_EXCLUDED = (
        "namespace_excluded",
        Hop.RESOLVE,
        "rows",
        "one end is in a namespace that is left out (--excluded-namespaces)",
    )
    EXTERNAL_LEFT_OUT = (
        "external_left_out",
        Hop.RESOLVE,
        "rows",
        "one end is outside the cluster, and such edges are switched off (--no-capture-external)",
    )
    BOTH_EXTERNAL = ("both_external", Hop.RESOLVE, "rows", "neither end belongs to the cluster")
    SEEN_ELSEWHERE = ("seen_elsewhere", Hop.RESOLVE, "rows", "another node counts it: the client runs there")

    DETAILS_FULL = (
        "details_full",
        Hop.GRAPH,
        "details",
        "an edge has as many paths, topics or actions as it may: the request is counted, its name is not kept",
    )
    EDGES_FULL = ("edges_full", Hop.GRAPH, "rows", "the map holds as many edges as it may: raise --max-edges")


class Tally(dict[Drop, int]):
    """A counter per reason."""

    def add(self, reason: Drop, count: int = 1) -> None:
        """Count `count` more for `reason`."""
        self[reason] = self.get(reason, 0) + count
