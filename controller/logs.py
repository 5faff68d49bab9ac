"""One shape for every log line, ours and those of libraries: text on a terminal, else JSON."""

import logging
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import Processor

from controller.settings import LogFormat, LogLevel

LOUD: Final = ("aiohttp", "asyncio", "httpcore", "httpx", "kubernetes")
"""Libraries that log what we say ourselves: only their warnings are kept."""


def configure(log_format: LogFormat, log_level: LogLevel, stream: TextIO | None = None) -> None:
    """Send every log line of the process to `stream` (None: stderr) in one shape."""
    stream = sys.stderr if stream is None else stream
    is_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    level = logging.getLevelNamesMapping()[log_level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_as_text(stream) if is_text else _as_json()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in LOUD:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _as_text(stream: TextIO) -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _as_json() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
