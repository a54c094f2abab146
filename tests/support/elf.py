"""What an ELF file needs to run: the machine it is for, its loader, its shared libraries (System V ABI, 64 bit)."""

import struct
from typing import NamedTuple

MACHINES = {62: "amd64", 183: "arm64"}
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29


class Elf(NamedTuple):
    machine: str
    loader: str
    needed: list[str]
    paths: list[str]


def read(content):
    """What a file's content says, or None if it is no 64-bit little-endian ELF file."""
    if content[:6] != b"\x7fELF\x02\x01":
        return None
    (machine,) = struct.unpack_from("<H", content, 18)
    start, size, number = (*struct.unpack_from("<Q", content, 32), *struct.unpack_from("<HH", content, 54))
    segments = [struct.unpack_from("<IIQQQQQQ", content, start + size * at) for at in range(number)]

    def text(at):
        return content[at : content.index(b"\0", at)].decode()

    def offset(address):
        return next(
            address - virtual + place
            for kind, _, place, virtual, _, length, _, _ in segments
            if kind == _LOAD and virtual <= address < virtual + length
        )

    loader = next((text(place) for kind, _, place, *_ in segments if kind == _INTERPRETER), "")
    entries = [
        struct.unpack_from("<QQ", content, at)
        for kind, _, place, _, _, length, _, _ in segments
        if kind == _DYNAMIC
        for at in range(place, place + length, 16)
    ]
    strings = next((offset(value) for tag, value in entries if tag == _STRINGS), 0)
    needed = [text(strings + value) for tag, value in entries if tag == _NEEDED]
    paths = [part for tag, value in entries if tag in {_RPATH, _RUNPATH} for part in text(strings + value).split(":")]
    return Elf(MACHINES.get(machine, str(machine)), loader, needed, paths)
