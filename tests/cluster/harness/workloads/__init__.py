"""Real workloads for a real cluster, with ground truth: what their clients did is what a map must show.

`program` runs in the pods, `objects` makes them, `boutique` and `cases` say who calls whom in which way and what the
map must show for it, `running` tells the pods to begin and collects what they did, `judge` compares.
"""
