"""The Kubernetes API as a client sees it: where it is, who we are there, and requests that do not block.

What the objects mean is not known here (`cluster` does that), so that whatever needs the API can use it.
"""
