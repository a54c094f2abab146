"""The map as one HTML file that people can search, zoom and unfold without a network.

`web/` in the source tree is the page's TypeScript; what it is built to is kept in `assets`, so that nobody who installs
this package needs Node.
"""

from network_mapper.export.page.render import render

__all__ = ["render"]
