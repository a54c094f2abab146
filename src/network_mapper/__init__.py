"""Who talks to whom inside a Kubernetes cluster, drawn from what its nodes see.

The package is a set of rooms with one direction of imports; `docs/architecture.md` shows the plan.
"""

__version__ = "0.1.0"
