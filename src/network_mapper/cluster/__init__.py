"""The Kubernetes side: objects decoded to the fields that are used, who they are, and who had an address when."""
