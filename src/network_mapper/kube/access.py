"""What a client needs to know of a cluster, and nothing about where that was written."""

from __future__ import annotations

import msgspec

from network_mapper.kube.credentials import Credentials, Fixed, Proof
from network_mapper.kube.proxy import Proxy  # noqa: TC001  msgspec reads the annotations at run time
from network_mapper.kube.tls import Tls


class Access(msgspec.Struct):
    """The way to one cluster's API, as one user.

    Attributes:
        server: URL of the API, `https://host:port` with a path prefix if need be, without a slash at the end.
        namespace: The context's namespace; `default` where it names none.
        tls: How the server is checked, and the certificate we show.
        credentials: What else proves who we are.
        headers: Headers of every request, such as those of impersonation; a name may come several times.
        proxy: The HTTP proxy on the way; None for none.
        origin: Where all this is written, for messages.
        context: Name of the kubeconfig's context; empty for a pod's account.
        inside: Whether this is a pod's own account, so that addresses of the cluster can be dialled from here.
    """

    server: str
    namespace: str = "default"
    tls: Tls = Tls()
    credentials: Credentials = msgspec.field(default_factory=lambda: Fixed(Proof()))
    headers: list[tuple[str, str]] = msgspec.field(default_factory=list)
    proxy: Proxy | None = None
    origin: str = ""
    context: str = ""
    inside: bool = False
