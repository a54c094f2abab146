"""The map as ClientIntents, the custom resource in which a workload says what it calls.

`convert` turns edges into `model.Document`s, which know no version; `shape` gives them the fields of one version of the
resource; `write` makes YAML or JSON of those. The layouts are those that the Otterize command line writes.
"""
