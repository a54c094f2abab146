"""An interpreter of classic BPF, as net/core/filter.c runs it for a socket, for what the capture filter uses."""

import struct

INSTRUCTION = struct.Struct("=HBBI")
PROTOCOL = 0xFFFFF000


class BeyondError(Exception):
    """A load beyond the end of the packet: the kernel drops it."""


def load(packet, offset, size):
    if offset + size > len(packet):
        raise BeyondError
    return int.from_bytes(packet[offset : offset + size], "big")


def run(program, packet, protocol):
    """Run a filter over a packet of an EtherType; return how many bytes it keeps."""
    code = list(INSTRUCTION.iter_unpack(program))
    try:
        return execute(code, packet, protocol)
    except BeyondError:
        return 0


def execute(code, packet, protocol):
    accumulator = index = position = 0
    memory = [0] * 16
    sizes = {0x00: 4, 0x08: 2, 0x10: 1}
    while True:
        operation, then, otherwise, operand = code[position]
        position += 1
        kind = operation & 0x07
        if operation == 0x06:
            return operand
        if operation == 0x20 and operand == PROTOCOL:
            accumulator = protocol
        elif kind == 0x00 and operation & 0xE0 == 0x20:
            accumulator = load(packet, operand, sizes[operation & 0x18])
        elif kind == 0x00 and operation & 0xE0 == 0x40:
            accumulator = load(packet, index + operand, sizes[operation & 0x18])
        elif operation == 0x60:
            accumulator = memory[operand]
        elif operation == 0x01:
            index = operand
        elif operation == 0xB1:
            index = 4 * (load(packet, operand, 1) & 0x0F)
        elif operation == 0x02:
            memory[operand] = accumulator
        elif operation == 0x04:
            accumulator = (accumulator + operand) & 0xFFFFFFFF
        elif operation == 0x0C:
            accumulator = (accumulator + index) & 0xFFFFFFFF
        elif operation == 0x64:
            accumulator = (accumulator << operand) & 0xFFFFFFFF
        elif operation == 0x74:
            accumulator >>= operand
        elif operation == 0x07:
            index = accumulator
        elif operation == 0x87:
            accumulator = index
        elif operation == 0x05:
            position += operand
        elif operation == 0x15:
            position += then if accumulator == operand else otherwise
        elif operation == 0x45:
            position += then if accumulator & operand else otherwise
        elif operation == 0x2D:
            position += then if accumulator > index else otherwise
        else:
            raise AssertionError(f"unknown operation {operation:#x}")
