"""The agent on each node: runs the captures and hands what they saw to `agent`.

Its imports are its memory, and the memory is a promise: nothing here brings in a Kubernetes or a web library.
"""
