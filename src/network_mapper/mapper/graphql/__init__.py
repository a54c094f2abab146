"""The model system's GraphQL interface: its senders and its command line work against this mapper unchanged."""

from network_mapper.mapper.graphql.door import PATH, Door, Reply, Request, Seams, Sender, Switches
from network_mapper.mapper.graphql.intents import Names

__all__ = ["PATH", "Door", "Names", "Reply", "Request", "Seams", "Sender", "Switches"]
