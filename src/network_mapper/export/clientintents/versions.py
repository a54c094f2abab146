"""The versions of ClientIntents that are written, apart from what writes them, so that help needs no more than this."""

VERSIONS = {"v2beta1": "v2beta1", "v2alpha1": "v2alpha1", "v1alpha3": "v1alpha3", "v2": "v2beta1", "v1": "v1alpha3"}
"""The versions of the resource by what they are called, the usual one first."""
