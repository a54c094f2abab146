"""Installing without Helm: the chart's own rendering, applied, watched until it runs, and removed again.

`manifests` has the objects, `session` speaks with the cluster, `find` looks for what is there, `namespace`, `apply` and
`remove` change it, `rollout` waits, and `diagnose` says in words why something does not start.
"""
