"""Bytes of a report to a Report, row by row where it must be.

The usual report decodes in one step. One that does not is taken apart: what cannot be read is counted, and the rows
beside it are kept. Only a report whose head cannot be read (who says this, and which report is it) is refused whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from network_mapper.model import Drop, Tally
from network_mapper.wire.report import JSON, MSGPACK, ROWS, Client, Report

_msgpack = msgspec.msgpack.Decoder(Report)
_json = msgspec.json.Decoder(Report)
encode = msgspec.msgpack.Encoder().encode
"""A report's MessagePack bytes."""


class ReportError(ValueError):
    """The report's head cannot be read; the message says where."""


def decode(body: bytes, encoding: str) -> tuple[Report, bytes, Tally]:
    """Decode a report.

    Args:
        body: As it came.
        encoding: `report.MSGPACK` or `report.JSON`.

    Returns:
        The report, its MessagePack bytes for the journal, and what was dropped from it, in rows.

    Raises:
        ReportError: Not in this encoding, or the head is wrong.
    """
    try:
        if encoding == MSGPACK:
            return _msgpack.decode(body), body, Tally()
        report = _json.decode(body)
        return report, encode(report), Tally()
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ReportError(f"the body is no {_NAMES[encoding]}: {error}") from None
    return _salvage(body, encoding)


_NAMES = {MSGPACK: "MessagePack", JSON: "JSON"}


def _salvage(body: bytes, encoding: str) -> tuple[Report, bytes, Tally]:
    try:
        raw = msgspec.msgpack.decode(body) if encoding == MSGPACK else msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ReportError(f"the body is no {_NAMES[encoding]}: {error}") from None
    if not isinstance(raw, dict):
        raise ReportError("a report is an object")
    clients = raw.pop("clients", [])
    try:
        report = msgspec.convert(raw, Report)
    except msgspec.ValidationError as error:
        raise ReportError(str(error)) from None
    if not isinstance(clients, list):
        raise ReportError("Expected `array` - at `$.clients`")
    drops = Tally()
    for item in clients:
        client = _client(item, drops)
        if client is not None:
            report.clients.append(client)
    return report, encode(report), drops


def _client(item: Any, drops: Tally) -> Client | None:
    if not isinstance(item, dict):
        drops.add(Drop.ROW_MALFORMED)
        return None
    lists = {name: item.pop(name, []) for name in ROWS}
    rows = sum(len(rows) if isinstance(rows, list) else 1 for rows in lists.values())
    try:
        client = msgspec.convert(item, Client)
    except msgspec.ValidationError:
        drops.add(Drop.ROW_MALFORMED, max(rows, 1))
        return None
    for name, values in lists.items():
        if not isinstance(values, list):
            drops.add(Drop.ROW_MALFORMED)
            continue
        target: list[Any] = getattr(client, name)
        for value in values:
            try:
                target.append(msgspec.convert(value, ROWS[name]))
            except msgspec.ValidationError:
                drops.add(Drop.ROW_MALFORMED)
    return client
