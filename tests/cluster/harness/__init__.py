"""A real Kubernetes for tests: etcd, kube-apiserver and kube-controller-manager as processes of this machine.

`control_plane.ControlPlane` puts those together, `proxy.FaultProxy` stands before the server and breaks what a test
wants broken. It has no nodes: the real controllers make ReplicaSets, pods and EndpointSlices, and `pods` plays
scheduler and kubelet by writing what those would write.

`cluster.Cluster` is the same control plane with nodes that run containers: `node` with `node_init`, `node_kubelet`,
`container_runtime` and `kube_proxy`, the `network` and control groups (`cgroups`) they live in, `scheduler`, `dns`, and
`images` without a registry. It lives in a sandbox only, which leaves nothing of it behind.
"""
