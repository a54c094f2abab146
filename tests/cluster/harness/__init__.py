"""A real Kubernetes for tests: etcd, kube-apiserver and kube-controller-manager as processes of this machine.

`control_plane.ControlPlane` puts the parts together, `proxy.FaultProxy` stands before the server and breaks what a test
wants broken. There are no nodes here: the real controllers make ReplicaSets, pods and EndpointSlices, and `pods` plays
scheduler and kubelet by writing what those would write.
"""
