"""The model system's GraphQL interface: its senders and its command line work against this mapper unchanged."""

from network_mapper.mapper.graphql.door import PATH, Door, Reply, Request
from network_mapper.mapper.graphql.intents import Names
from network_mapper.mapper.graphql.seams import Seams, Sender, Switches

__all__ = ["PATH", "Door", "Names", "Reply", "Request", "Seams", "Sender", "Switches"]
