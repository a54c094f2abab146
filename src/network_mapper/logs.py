"""Log lines for people on a terminal, JSON objects for machines, from the standard library's logging.

A logging library would cost the sniffer more memory than its own code; what is needed here is one formatter.
Context goes in as `logger.info("report refused", extra={"status": 413})` and comes out as fields.
"""

from __future__ import annotations

import datetime as dt
import logging
import sys

import msgspec

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _PLAIN}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (RFC 3339), `level`, `logger`, `msg`, then the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Encode one record."""
        when = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, object] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """`12:00:01 warning: what happened (key=value)`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        text = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower()}: {record.getMessage()}"
        if fields:
            text += f" ({fields})"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def setup(*, debug: bool = False, log_format: str = "auto") -> None:
    """Send logs to stderr; `log_format` is `text`, `json`, or `auto` (text on a terminal)."""
    handler = logging.StreamHandler(sys.stderr)
    text = sys.stderr.isatty() if log_format == "auto" else log_format == "text"
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
