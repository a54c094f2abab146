"""The words of the domain: what a node saw, who that was, and the edge it makes.

Nothing here does I/O or reads a clock, and nothing here imports another room: all else is written in these words.
"""

from network_mapper.model.drops import Drop, Hop, Tally
from network_mapper.model.edge import Edge, ServiceRef
from network_mapper.model.observation import Kind, Observation
from network_mapper.model.peers import Ambiguous, External, Node, Peer, Service, Workload

__all__ = [
    "Ambiguous",
    "Drop",
    "Edge",
    "External",
    "Hop",
    "Kind",
    "Node",
    "Observation",
    "Peer",
    "Service",
    "ServiceRef",
    "Tally",
    "Workload",
]
