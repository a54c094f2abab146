"""A small cluster in network namespaces, real traffic with known truth in it, and the demo built on both.

It ships with the product because `make demo` and `make bench` of an installed copy use it. It needs nothing beyond
the standard library, msgspec and PyYAML. Nothing is imported here: the programs that play pods start from this
package and have to start fast.
"""
