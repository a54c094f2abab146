"""What is read of pods: names of folders, control groups, and the tables of addresses."""

from __future__ import annotations

import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from network_mapper.capture.podaddresses import LONGEST_TABLE, addresses
from network_mapper.capture.podfolders import PodFolders, pod_of_folder
from network_mapper.capture.podgroups import memberships
from network_mapper.model import PodRef

UID = "9f0c2b1e-5d2a-4c7e-9a64-0d3f5b7f2a11"
SLICE = UID.replace("-", "_")
STATIC = "6576683a93d91d8e2119df2c2755f2f1"


@pytest.mark.parametrize(
    ("name", "pod"),
    [
        (f"shop_cart-7d9f_{UID}", PodRef("shop", "cart-7d9f", UID)),
        (f"shop_a.b.c_{UID}", PodRef("shop", "a.b.c", UID)),
        (f"kube-system_etcd-node1_{STATIC}", PodRef("kube-system", "etcd-node1", STATIC)),
    ],
)
def test_a_folders_name_is_namespace_name_and_uid(name, pod):
    assert pod_of_folder(name) == pod


@pytest.mark.parametrize(
    "name", ["", "shop", "shop_cart", f"shop__{UID}", f"_cart_{UID}", f"Shop_cart_{UID}", "shop_cart_", f"a_b_c_{UID}",
             f"shop_cart_{UID}\n", "shop_cart_../..", "shop_cart_\udcff", "lost+found"]
)  # fmt: skip
def test_another_folder_is_no_pods(name):
    assert pod_of_folder(name) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"0::/kubepods/besteffort/pod{UID}/5d41402abc4b\n", [(UID, 1)]),
        (f"0::/kubepods/pod{UID}/5d41402abc4b\n", [(UID, 1)]),
        (f"0::/kubepods/burstable/pod{STATIC}/5d41\n", [(STATIC, 1)]),
        (f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE}.slice/cri-containerd-5d.scope\n",
         [(UID, 1)]),
        (f"0::/kubepods.slice/kubepods-pod{SLICE}.slice/crio-5d.scope\n", [(UID, 1)]),
        (f"0::/../../kubepods-besteffort-pod{SLICE}.slice/cri-containerd-5d.scope\n", [(UID, 1)]),
        (f"0::/../pod{UID}/5d41\n", [(UID, 1)]),
        (f"0::/../../../kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{SLICE}.slice/cri-containerd-5d.scope",
         [(UID, 1)]),
        (f"12:pids:/kubepods/besteffort/pod{UID}/5d41\n11:memory:/kubepods/besteffort/pod{UID}/5d41\n0::/\n",
         [(UID, 1)]),
        (f"1:name=systemd:/kubepods/pod{UID}/5d41\n0::/system.slice/containerd.service\n", [(UID, 1)]),
        (f"0::/kubepods/pod{UID}/5d41/docker/77aa\n", [(UID, 3)]),
        (f"0::/kubepods/pod{UID}/5d41/kubepods/pod{STATIC}/77aa\n", [(UID, 4), (STATIC, 1)]),
        (f"0::/kubepods/pod{UID}\n", [(UID, 0)]),
    ],
)  # fmt: skip
def test_a_process_belongs_to_the_pod_that_its_group_is_named_by(text, found):
    assert memberships(text.encode()) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0::/\n",
        "0::/system.slice/docker.service\n",
        "0::/machine.slice/libpod-5d41402a.scope\n",
        "0::/kubepods.slice/kubepods-burstable.slice\n",
        f"0::/kubepods.slice/kubepods-pod{SLICE}.slice/crio-conmon-5d41.scope\n",
        f"0::/kubepods/besteffort/pod{UID}/crio-conmon-5d41\n",
        f"0::/notapod{UID}x/5d\n",
    ],
)
def test_who_is_in_no_pods_group_belongs_to_none(text):
    assert memberships(text.encode()) == []


def word(address: str) -> str:
    return f"{int.from_bytes(bytes(int(part) for part in address.split('.')), sys.byteorder):08X}"


def route(*lines: tuple[str, str, str, str]) -> bytes:
    """A table of (device, network, gateway, mask)."""
    rows = [
        f"{device}\t{word(net)}\t{word(via)}\t0003\t0\t0\t0\t{word(mask)}\t0\t0\t0" for device, net, via, mask in lines
    ]
    return "\n".join(
        ["Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT", *rows, ""]
    ).encode()


def trie(*local: str) -> bytes:
    lines = ["Main:", "  +-- 0.0.0.0/0 3 0 5"]
    for address in (*local, "127.0.0.1"):
        network = address.rpartition(".")[0]
        lines += [f"     |-- {network}.0", "        /24 link UNICAST"]
        lines += [f"        |-- {address}", "           /32 host LOCAL"]
        lines += [f"     |-- {network}.255", "        /32 link BROADCAST"]
    return "\n".join([*lines, "Local:", *lines[1:], ""]).encode()


def sixes(*lines: tuple[str, int, int, str]) -> bytes:
    """A table of (32 digits, scope, flags, device)."""
    return "".join(
        f"{digits} 02 40 {scope:02x} {flags:02x}     {device}\n" for digits, scope, flags, device in lines
    ).encode()


DEFAULT = ("eth0", "0.0.0.0", "10.1.2.1", "0.0.0.0")
NETWORK = ("eth0", "10.1.2.0", "0.0.0.0", "255.255.255.0")
ULA = "fd780000000000000000000000000005"


def test_the_address_in_the_interfaces_network_is_the_pods():
    assert addresses(trie("10.1.2.5"), route(DEFAULT, NETWORK), b"") == ("10.1.2.5",)


def test_the_only_address_in_no_network_is_the_pods_where_its_link_is_point_to_point():
    hop = ("eth0", "169.254.1.1", "0.0.0.0", "255.255.255.255")
    assert addresses(trie("10.1.2.5"), route(DEFAULT, hop), b"") == ("10.1.2.5",)


def test_of_two_addresses_in_no_network_neither_is_certain():
    assert addresses(trie("10.1.2.5", "192.0.2.9"), route(DEFAULT), b"") == ()


def test_an_engines_bridge_within_the_pod_is_not_its_address():
    bridge = ("docker0", "172.17.0.0", "0.0.0.0", "255.255.0.0")
    table = route(DEFAULT, NETWORK, bridge)
    assert addresses(trie("172.17.0.1", "10.1.2.5"), table, b"") == ("10.1.2.5",)


def test_the_narrower_of_two_networks_says_whose_an_address_is():
    wide = ("net1", "10.0.0.0", "0.0.0.0", "255.0.0.0")
    assert addresses(trie("10.1.2.5", "10.9.9.9"), route(DEFAULT, NETWORK, wide), b"") == ("10.1.2.5",)


def test_eth0_counts_although_the_default_route_goes_through_a_tunnel():
    tunnel = ("wg0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
    inner = ("wg0", "100.64.0.0", "0.0.0.0", "255.192.0.0")
    assert addresses(trie("100.64.0.7", "10.1.2.5"), route(tunnel, inner, NETWORK), b"") == ("10.1.2.5",)


def test_without_an_eth0_the_interface_of_the_default_route_counts():
    lines = [("ens5", *DEFAULT[1:]), ("ens5", *NETWORK[1:]), ("br0", "192.168.0.0", "0.0.0.0", "255.255.0.0")]
    assert addresses(trie("192.168.0.1", "10.1.2.5"), route(*lines), b"") == ("10.1.2.5",)


def test_loopback_and_link_local_addresses_are_left_out():
    table = sixes(("0" * 31 + "1", 0x10, 0x80, "lo"), ("fe80" + "0" * 27 + "1", 0x20, 0x80, "eth0"))
    assert addresses(trie("169.254.7.7"), route(DEFAULT), table) == ()


def test_addresses_of_ipv6_are_those_of_the_same_interface():
    table = sixes((ULA, 0, 0x80, "eth0"), ("2001" + ULA[4:], 0, 0x80, "net1"))
    assert addresses(trie("10.1.2.5"), route(DEFAULT, NETWORK), table) == ("10.1.2.5", "fd78::5")


def test_a_pod_may_have_ipv6_alone():
    assert addresses(b"", b"", sixes((ULA, 0, 0x80, "eth0"))) == ("fd78::5",)


def test_an_address_that_another_machine_has_too_is_left_out():
    assert addresses(b"", b"", sixes((ULA, 0, 0x08, "eth0"))) == ()


def test_of_a_table_that_was_cut_off_nothing_is_certain():
    cut = trie("10.1.2.5").ljust(LONGEST_TABLE, b"\n")
    assert addresses(cut, route(DEFAULT, NETWORK), sixes((ULA, 0, 0x80, "eth0"))) == ("fd78::5",)


def test_a_pod_that_has_very_many_addresses_is_known_by_none_of_them():
    many = trie(*(f"10.1.2.{number}" for number in range(5, 10)))
    assert addresses(many, route(DEFAULT, NETWORK), b"") == ()


broken = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.sampled_from(
            [b"0::/", b"kubepods", b"/pod", UID.encode(), b"-pod", b".slice", b"\n", b"|-- ", b"10.1.2.5",
             b"/32 host LOCAL",
             b"eth0 ", b"00000000 ", ULA.encode(), b" 0 40 00 80 eth0", b"-1 ", b"fffffffff ", b"\xff", b":", b"..",
             b"999.1.1.1"]
        ),
        max_size=40,
    ).map(b"".join),
)  # fmt: skip


@given(text=broken, other=broken, third=broken)
@example(b"|-- 1.2.3\n/32 host LOCAL", b"\neth0 -1 0 0 0 0 0 0", b"zz" * 16 + b" 0 0 0 0 eth0")
def test_nothing_that_may_be_read_is_an_error(text, other, third):
    assert all(isinstance(each.uid, str) and each.depth >= 0 for each in memberships(text))
    assert all(isinstance(each, str) for each in addresses(text, other, third))


@given(st.text(max_size=300))
def test_no_folders_name_is_an_error(name):
    pod = pod_of_folder(name)
    assert pod is None or f"{pod.namespace}_{pod.name}_{pod.uid}" == name


class TestFolders:
    @pytest.fixture
    def looks(self, tmp_path, monkeypatch):
        """Makes a folder of folders that was last changed at a second; returns it and how often it was read."""
        import os

        read = []
        real = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: read.append(path) or real(path))

        def make(name: str, changed: float) -> None:
            (tmp_path / f"shop_{name}_uid-{name}").mkdir()
            os.utime(tmp_path, ns=(0, round(changed * 1e9)))

        return tmp_path, make, read

    def test_one_that_has_not_changed_is_read_once(self, looks):
        path, make, read = looks
        folders = PodFolders(str(path), clock=lambda: 100 * 10**9)
        make("a", changed=1)
        assert [folders.look(), folders.look(), folders.look()] == [{"uid-a"}, set(), set()]
        assert len(read) == 1

    def test_one_that_changed_a_moment_ago_is_read_again(self, looks):
        path, make, _ = looks
        folders = PodFolders(str(path), clock=lambda: 10**9 + 10**7)
        make("a", changed=1)
        folders.look()
        make("b", changed=1)
        assert folders.look() == {"uid-b"}

    def test_what_is_gone_is_forgotten_and_what_comes_back_is_new(self, looks):
        path, make, _ = looks
        folders = PodFolders(str(path), clock=lambda: 100 * 10**9)
        for name, changed in (("a", 1), ("b", 2)):
            make(name, changed)
        folders.look()
        (path / "shop_a_uid-a").rename(path / "elsewhere")
        assert (folders.look(), set(folders.names)) == (set(), {"uid-b"})
        (path / "elsewhere").rename(path / "shop_a_uid-a")
        assert folders.look() == {"uid-a"}

    def test_more_than_may_be_are_left_out_and_counted(self, looks):
        path, make, _ = looks
        folders = PodFolders(str(path), most=2)
        for name in "abcde":
            make(name, changed=1)
        folders.look()
        assert (len(folders.names), folders.left_out) == (2, 3)
