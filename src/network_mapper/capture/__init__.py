"""What one node can see: bytes in, observations out. Nothing here knows Kubernetes or a network protocol of ours."""
