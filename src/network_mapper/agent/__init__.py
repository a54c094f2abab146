"""What every reporter shares: folding what was seen, freezing it into reports, sending them, health and metrics.

It knows reports and nothing of how observations come about, so that a watcher of another kind of evidence reports
through the same code as the node's sniffer.
"""
