"""What crosses the network: reports on their way in, documents on their way out. Shapes and encodings, no I/O."""
