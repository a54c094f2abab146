"""The cluster followed through the Kubernetes API: what is listed, watched, and kept equal to the server's state.

`cluster.LiveCluster` decides what is read, `reflector.Reflector` speaks the list and watch protocol for one kind,
`follow` gives it a connection. The index gets objects one by one, as it does from a snapshot.
"""
