"""The packet filter that the kernel runs before a packet reaches the ring, in classic BPF.

A node carries far more packets than the few that open connections or answer questions. The kernel drops the rest for
some ten nanoseconds each; classic BPF needs no more than the right to open the packet socket. Its instructions and
loads are those of linux/filter.h. They are written here with named labels, because its jumps count instructions, which
nobody should have to do by hand. The assembler knows what the filter uses and nothing else.

A filter returns how many bytes of the packet to keep; 0 drops it. A load beyond the end of the packet drops it too.
"""

from __future__ import annotations

import struct

INSTRUCTION = struct.Struct("=HBBI")
"""struct sock_filter: code, jump if true, jump if false, operand."""

MAX_JUMP = 255

KEEP_HANDSHAKE = 128
"""Bytes kept of a SYN, SYN-ACK or RST: IPv4 and TCP with all options are 120, IPv6 and TCP 100."""
KEEP_EXTENDED = 512
"""The same behind IPv6 extension headers."""
KEEP_ALL = 65535

EXTENSIONS = 4
"""IPv6 extension headers that the filter walks; it cannot loop."""

# linux/bpf_common.h: class | size | mode of each load, operation | source of each jump and sum.
_LOAD = {"ld": 0x00, "ldh": 0x08, "ldb": 0x10}
_ABSOLUTE, _INDIRECT = 0x20, 0x40
_OPERATIONS = {
    "ldx": 0x01,  # X = operand
    "ld_mem": 0x60,
    "st": 0x02,
    "ldx_ihl": 0xB1,  # X = 4 * (low half of the byte at operand)
    "add": 0x04,
    "add_x": 0x0C,
    "lsh": 0x64,
    "rsh": 0x74,
    "tax": 0x07,
    "txa": 0x87,
    "ret": 0x06,
}
_JUMPS = {"jeq": 0x15, "jgt_x": 0x2D, "jset": 0x45}
_JUMP_ALWAYS = 0x05

_PROTOCOL = 0xFFFFF000
"""SKF_AD_OFF + SKF_AD_PROTOCOL: not a byte of the packet but its EtherType."""

_ETH_IPV4, _ETH_IPV6 = 0x0800, 0x86DD
_TCP, _UDP, _DNS = 6, 17, 53
_SYN, _RST, _ACK = 0x02, 0x04, 0x10

_END, _NEXT = 0, 1
"""Scratch words: offset behind the packet by its own account, and the number of the next header."""


class Assembler:
    """Collects instructions and labels, and turns them into what SO_ATTACH_FILTER takes."""

    def __init__(self) -> None:
        """Begin an empty program."""
        self._code: list[tuple[int, str, str, int]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Name the next instruction."""
        self._labels[name] = len(self._code)

    def load(self, operation: str, offset: int, *, beyond_x: bool = False) -> None:
        """Load a word (`ld`), half word (`ldh`) or byte (`ldb`) of the packet, at `offset` or `offset` + X."""
        self._code.append((_LOAD[operation] | (_INDIRECT if beyond_x else _ABSOLUTE), "", "", offset))

    def do(self, operation: str, operand: int = 0) -> None:
        """Add an instruction that neither loads from the packet nor jumps."""
        self._code.append((_OPERATIONS[operation], "", "", operand))

    def jump(self, operation: str, operand: int, then: str = "", otherwise: str = "") -> None:
        """Compare, and go to a label where one is given; else to the next instruction."""
        self._code.append((_JUMPS[operation], then, otherwise, operand))

    def goto(self, label: str) -> None:
        """Go to a label, however far."""
        self._code.append((_JUMP_ALWAYS, label, "", 0))

    def assemble(self) -> bytes:
        """Return the program.

        Raises:
            ValueError: A conditional jump leads backwards or further than its eight bits reach.
        """
        program = bytearray()
        for index, (code, then, otherwise, operand) in enumerate(self._code):
            if code == _JUMP_ALWAYS:
                program += INSTRUCTION.pack(code, 0, 0, self._labels[then] - index - 1)
                continue
            jumps = [self._labels[label] - index - 1 if label else 0 for label in (then, otherwise)]
            if not all(0 <= jump <= MAX_JUMP for jump in jumps):
                raise ValueError(f"instruction {index} jumps too far: {then} {otherwise}")
            program += INSTRUCTION.pack(code, *jumps, operand)
        return bytes(program)


def capture_filter() -> bytes:
    """Assemble the filter for a packet socket of type SOCK_DGRAM, where a packet begins with its IP header.

    It passes TCP packets with SYN, RST answers to a SYN (their sequence number is 0, RFC 9293 section 3.10.7.1), data
    from and to TCP port 53, and UDP port 53; over IPv4 and IPv6; of fragments only the first.
    """
    code = Assembler()
    code.load("ld", _PROTOCOL)
    code.jump("jeq", _ETH_IPV4, "ipv4")
    code.jump("jeq", _ETH_IPV6, "ipv6")
    code.do("ret", 0)

    code.label("ipv4")
    code.load("ldh", 6)
    code.jump("jset", 0x1FFF, "drop_ipv4")
    code.load("ldh", 2)
    code.do("st", _END)
    code.do("ldx_ihl", 0)
    code.load("ldb", 9)
    code.jump("jeq", _TCP, "tcp_ipv4")
    code.jump("jeq", _UDP, "udp_ipv4")
    code.label("drop_ipv4")
    code.do("ret", 0)
    code.label("udp_ipv4")
    _udp(code, "ipv4")
    code.label("tcp_ipv4")
    _tcp(code, "ipv4", KEEP_HANDSHAKE)

    code.label("ipv6")
    code.load("ldh", 4)
    code.do("add", 40)
    code.do("st", _END)
    code.do("ldx", 40)
    code.load("ldb", 6)
    code.jump("jeq", _TCP, "tcp_ipv6")
    for number in range(EXTENSIONS):
        _extension(code, number)
    code.jump("jeq", _TCP, "tcp_extended")
    code.jump("jeq", _UDP, "udp_ipv6")
    code.do("ret", 0)
    code.label("udp_ipv6")
    _udp(code, "ipv6")
    code.label("tcp_ipv6")
    _tcp(code, "ipv6", KEEP_HANDSHAKE)
    code.label("tcp_extended")
    _tcp(code, "extended", KEEP_EXTENDED)
    return code.assemble()


def _extension(code: Assembler, number: int) -> None:
    """Walk one extension header: A holds its number and X its offset, before as after."""
    code.jump("jeq", 44, f"fragment_{number}")
    code.jump("jeq", 51, f"authentication_{number}")
    for kind in (0, 43, 60):
        code.jump("jeq", kind, f"plain_{number}")
    code.goto(f"done_{number}")

    code.label(f"fragment_{number}")
    code.load("ldh", 2, beyond_x=True)
    code.jump("jset", 0xFFF8, f"later_fragment_{number}")
    code.load("ldb", 0, beyond_x=True)
    code.do("st", _NEXT)
    code.do("txa")
    code.do("add", 8)
    code.goto(f"advance_{number}")
    code.label(f"later_fragment_{number}")
    code.do("ret", 0)

    code.label(f"authentication_{number}")
    code.load("ldb", 0, beyond_x=True)
    code.do("st", _NEXT)
    code.load("ldb", 1, beyond_x=True)
    code.do("add", 2)
    code.do("lsh", 2)
    code.do("add_x")
    code.goto(f"advance_{number}")

    code.label(f"plain_{number}")
    code.load("ldb", 0, beyond_x=True)
    code.do("st", _NEXT)
    code.load("ldb", 1, beyond_x=True)
    code.do("add", 1)
    code.do("lsh", 3)
    code.do("add_x")

    code.label(f"advance_{number}")
    code.do("tax")
    code.do("ld_mem", _NEXT)
    code.label(f"done_{number}")


def _udp(code: Assembler, path: str) -> None:
    """Pass port 53 on either side; X is the offset of the UDP header."""
    code.load("ldh", 0, beyond_x=True)
    code.jump("jeq", _DNS, f"dns_{path}")
    code.load("ldh", 2, beyond_x=True)
    code.jump("jeq", _DNS, f"dns_{path}")
    code.do("ret", 0)
    code.label(f"dns_{path}")
    code.do("ret", KEEP_ALL)


def _tcp(code: Assembler, path: str, keep: int) -> None:
    """Pass handshakes and data of port 53; X is the offset of the TCP header."""
    code.load("ldb", 13, beyond_x=True)
    code.jump("jset", _SYN, f"keep_{path}")
    code.jump("jset", _RST, f"rst_{path}")
    code.load("ldh", 0, beyond_x=True)
    code.jump("jeq", _DNS, f"data_{path}")
    code.load("ldh", 2, beyond_x=True)
    code.jump("jeq", _DNS, f"data_{path}")
    code.do("ret", 0)

    code.label(f"rst_{path}")
    code.jump("jset", _ACK, otherwise=f"drop_{path}")
    code.load("ld", 4, beyond_x=True)
    code.jump("jeq", 0, otherwise=f"drop_{path}")
    code.label(f"keep_{path}")
    code.do("ret", keep)

    code.label(f"data_{path}")
    code.load("ldb", 12, beyond_x=True)
    code.do("rsh", 4)
    code.do("lsh", 2)
    code.do("add_x")
    code.do("tax")
    code.do("ld_mem", _END)
    code.jump("jgt_x", 0, f"keep_all_{path}")
    code.label(f"drop_{path}")
    code.do("ret", 0)
    code.label(f"keep_all_{path}")
    code.do("ret", KEEP_ALL)
