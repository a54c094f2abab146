"""The model's GraphQL interface, as a function from request to answer.

The rules are those of the server that the model uses: the status of each kind of error, what a GET may ask, what is
taken for what. The HTTP framework stays outside. Known reports take a short way: their variables are decoded straight
into typed messages. What does not decode so is coerced by GraphQL's rules first; from there on the way is the same.

Any page in a browser may send a request here, but only one that asks first can send JSON, and no answer allows a
foreign page anything. So the content type is the lock of everything that changes the map.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from network_mapper.mapper.graphql import inputs, requests, sightings
from network_mapper.mapper.graphql.failure import RequestError, failed, refused
from network_mapper.mapper.graphql.seams import Seams, Sender
from network_mapper.mapper.graphql.sightings import Batch
from network_mapper.mapper.graphql.times import TimeError
from network_mapper.mapper.intake import BusyError
from network_mapper.model import Drop, Tally
from network_mapper.wire.report import JSON

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from network_mapper.mapper.graphql.documents import Documents, FastReport, Plan
    from network_mapper.wire.report import Client

_log = logging.getLogger(__name__)

PATH: Final = "/query"
_METHODS: Final = "OPTIONS, GET, POST"
_RETRY_AFTER: Final = "1"
_MOST_PARAMETERS: Final = 16


class Request(NamedTuple):
    """An HTTP request.

    Attributes:
        method: In capitals.
        query: The query string, not decoded.
        content_type: Empty where there is none.
        body: As it came; its size is the caller's to bound.
        sender: Who asks.
    """

    method: str
    query: str = ""
    content_type: str = ""
    body: bytes = b""
    sender: Sender = Sender()


class Reply(NamedTuple):
    """The answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Envelope(msgspec.Struct):
    query: str | None = None
    operation_name: str | None = msgspec.field(name="operationName", default=None)
    variables: msgspec.Raw = msgspec.Raw(b"null")


class _Sightings(NamedTuple):
    """What one mutation reports: rows, what their times are relative to, and what was dropped in decoding."""

    field: str
    key: str
    clients: list[Client]
    base: int
    drops: Tally


class _Call(NamedTuple):
    text: str
    operation: str
    variables: msgspec.Raw | bytes


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.Encoder().encode

_DECODERS: Final[dict[str, Callable[[Any, Batch], None]]] = {
    "reportCaptureResults": sightings.lookups,
    "reportTCPCaptureResults": sightings.connections,
    "reportSocketScanResults": sightings.sockets,
    "reportTrafficLevelResults": sightings.volumes,
    "reportKafkaMapperResults": requests.kafka,
    "reportIstioConnectionResults": requests.http,
    "reportAWSOperation": requests.aws,
    "reportAzureOperation": requests.azure,
    "reportGCPOperation": requests.gcp,
}


class Door:
    """Answers GraphQL requests.

    Args:
        seams: What it opens to.
    """

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._documents: Documents | None = None
        self._decoders: dict[tuple[str, str], msgspec.json.Decoder[Any]] = {}
        switches = seams.switches
        self._off = {
            "reportCaptureResults": not switches.dns,
            "reportTCPCaptureResults": not switches.tcp,
            "reportSocketScanResults": not switches.sockets,
        }

    async def handle(self, request: Request) -> Reply:
        """Answer one request. Nothing that a request can hold makes this raise."""
        if request.method == "OPTIONS":
            return Reply(204, {"Allow": _METHODS}, b"")
        try:
            return Reply(200, {"Content-Type": JSON}, await self._answer(request))
        except RequestError as error:
            return _refusal(error)
        except Exception:  # noqa: BLE001  whatever it is, the mapper lives on and the sender is told
            _log.exception("a GraphQL request could not be answered")
            return _refusal(refused(500, "internal error"))

    async def _answer(self, request: Request) -> bytes:
        call = _call(request)
        if self._documents is None:
            # Only now: a mapper that is never asked in GraphQL does without the library.
            from network_mapper.mapper.graphql.documents import Documents  # noqa: PLC0415  see above

            self._documents = Documents()
        plan = self._documents.plan(call.text, call.operation)
        if plan.is_mutation and request.method == "GET":
            raise refused(406, "GET requests only allow query operations")
        if plan.report is not None:
            report = self._fast(plan.report, call.variables)
            if report is not None:
                await self._take(self._read(plan.report.field, plan.report.key, report), request.sender)
                return b'{"data":{' + _encode(plan.report.key) + b":true}}"
        return await self._run(plan, call.variables, request.sender)

    def _fast(self, report: FastReport, variables: msgspec.Raw | bytes) -> Any:
        """A report whose variables need no coercion; None where they do, or are wrong."""
        decoder = self._decoders.get((report.field, report.variable))
        if decoder is None:
            if len(self._decoders) >= 1000:
                self._decoders.clear()
            fields = [("value", inputs.ARGUMENTS[report.field][2], msgspec.field(name=report.variable))]
            kind = msgspec.defstruct("Variables", fields, forbid_unknown_fields=True, gc=False)
            decoder = self._decoders[report.field, report.variable] = msgspec.json.Decoder(kind)
        try:
            return decoder.decode(variables).value
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None

    async def _run(self, plan: Plan, variables: msgspec.Raw | bytes, sender: Sender) -> bytes:
        """Run an operation by GraphQL's rules. A mutation of several fields is read whole before any is carried out."""
        from network_mapper.mapper.graphql.run import Run  # noqa: PLC0415  needs the library

        run = Run(plan, _variables(variables))
        if not plan.is_mutation:
            return run.query(self._seams)
        fields: dict[str, Any] = {}
        steps: list[_Sightings | str] = []
        for field in run.mutations():
            fields[field.key] = "Mutation" if field.name == "__typename" else True
            if field.name == "resetCapture":
                steps.append(field.key)
            elif field.name != "__typename":
                name, _, kind = inputs.ARGUMENTS[field.name]
                steps.append(self._read(field.name, field.key, msgspec.convert(field.arguments[name], kind)))
        for step in steps:
            if isinstance(step, str):
                await self._reset(step)
            else:
                await self._take(step, sender)
        return _encode({"data": fields})

    def _read(self, field: str, key: str, value: Any) -> _Sightings:
        now = self._seams.clock()
        batch = Batch(now)
        try:
            _DECODERS[field](value, batch)
        except TimeError as error:
            raise failed(str(error), key) from None
        clients, drops = batch.clients, batch.drops
        if self._off.get(field):
            seen = sum(len(source.destinations) for source in value.results)
            clients, drops = [], Tally({Drop.REPORT_SWITCHED_OFF: seen} if seen else {})
        return _Sightings(field, key, clients, now, drops)

    async def _take(self, seen: _Sightings, sender: Sender) -> None:
        if seen.clients or seen.drops:
            await self._guarded(self._seams.take(seen.clients, seen.base, seen.drops), seen.key)
        self._seams.heard(sender, seen.field)

    async def _reset(self, key: str) -> None:
        await self._guarded(self._seams.reset(), key)

    async def _guarded(self, work: Awaitable[None], key: str) -> None:
        try:
            await work
        except BusyError as error:
            raise refused(503, f"not now: {error}", {"Retry-After": _RETRY_AFTER}) from None
        except Exception as error:
            # A fault of ours: it is said, and the mapper lives on.
            _log.exception("a mutation could not be carried out")
            raise failed("internal error", key) from error


def _refusal(error: RequestError) -> Reply:
    content = {"errors": error.errors, "data": None}
    return Reply(error.status, {"Content-Type": JSON} | error.headers, _encode(content))


def _call(request: Request) -> _Call:
    """What is asked for, by the rules of GraphQL over HTTP."""
    if request.method == "GET":
        try:
            parameters = dict(
                parse_qsl(request.query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
            )
        except (ValueError, UnicodeError):
            raise refused(400, "the query string could not be decoded") from None
        variables = parameters.get("variables", "").encode() or b"null"
        return _Call(parameters.get("query", ""), parameters.get("operationName", ""), variables)
    kind = request.content_type.partition(";")[0].strip().lower()
    if request.method != "POST" or kind != JSON:
        raise refused(400, "transport not supported")
    try:
        envelope = _decode_envelope(request.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise refused(400, f"json request body could not be decoded: {error}") from None
    return _Call(envelope.query or "", envelope.operation_name or "", envelope.variables)


def _variables(text: msgspec.Raw | bytes) -> dict[str, Any]:
    from network_mapper.mapper.graphql.coerce import Number  # noqa: PLC0415  needs the library

    try:
        values = msgspec.json.Decoder(float_hook=Number).decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise refused(400, f"variables could not be decoded: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise refused(400, "variables could not be decoded: they are an object")
    return values
