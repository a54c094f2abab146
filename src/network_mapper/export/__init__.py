"""The map as text: one file per format, each a pure function from edges to a string."""
