"""Asks the metrics server; the only module that imports `httpx`.

It is the one address besides the API server's (safety.md A6), an administrator set it, and nothing
it says is believed before it has the right shape: whatever else comes is an `EvidenceError`, which
holds a release and never moves it (T12).
"""

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import httpx

from controller.api.errors import EvidenceError
from controller.api.series import Series

TIMEOUT_SECONDS: Final = 5.0
"""From the first byte sent to the last one read."""
ANSWER_LIMIT: Final = 1024 * 1024
"""Bytes of an answer; more is none."""
SHOWN_LIMIT: Final = 200
"""Characters of a foreign text that a message repeats."""


class Prometheus:
    """The metrics server, as one verb.

    Args:
        url: `http://HOST:PORT` with an optional path before `/api/v1`.
        token_file: holds a bearer token; read at every request, because tokens are renewed.
        timeout: seconds for the whole of one question.
    """

    def __init__(
        self, url: str, *, token_file: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query_range"
        self._token_file = Path(token_file) if token_file else None
        self._timeout = timeout
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout),
            follow_redirects=False,
            # No proxy and no netrc entry of the environment: one address means one address.
            trust_env=False,
            limits=httpx.Limits(max_connections=4, keepalive_expiry=30.0),
        )

    async def __aenter__(self) -> Self:
        """Return itself; the end of the block closes its connections."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def samples(
        self, query: str, *, start: float, end: float, step: float
    ) -> tuple[Series, ...]:
        """Return every series of a query at `start`, `start + step` and so on up to `end`.

        Raises:
            EvidenceError: there is no answer that can be believed; the message says why.
        """
        form = {
            "query": query,
            "start": f"{start:.3f}",
            "end": f"{end:.3f}",
            "step": f"{step:.3f}",
            "timeout": f"{self._timeout:.0f}s",
        }
        try:
            async with asyncio.timeout(self._timeout):
                code, body = await self._asked(form)
        except TimeoutError as error:
            raise EvidenceError(f"no answer within {self._timeout:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if isinstance(error, httpx.TimeoutException):
                raise EvidenceError(f"no answer within {self._timeout:g} s") from error
            raise EvidenceError(
                f"no answer: {_shown(str(error) or type(error).__name__)}"
            ) from error
        return _series(_data(code, body))

    async def _asked(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        async with self._client.stream("POST", self._url, data=form, headers=headers) as answer:
            body = bytearray()
            async for part in answer.aiter_raw():
                body += part
                if len(body) > ANSWER_LIMIT:
                    raise EvidenceError(f"the answer has more than {ANSWER_LIMIT} bytes")
            return answer.status_code, bytes(body)

    def _token(self) -> str:
        path = self._token_file
        try:
            token = path.read_text(encoding="ascii").strip() if path is not None else ""
        except (OSError, ValueError) as error:
            raise EvidenceError(f"the token file cannot be read: {type(error).__name__}") from error
        if not token or not token.isprintable() or " " in token:
            raise EvidenceError("the token file holds no token")
        return token


def _data(code: int, body: bytes) -> Mapping[str, Any]:
    """Return the data of an answer that says it succeeded, wholly."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"answered {code} with something else than JSON") from error
    if not isinstance(answer, dict) or code != 200 or answer.get("status") != "success":
        why = answer.get("error") if isinstance(answer, dict) else None
        raise EvidenceError(f"answered {code}: {_shown(str(why or 'no reason given'))}")
    if answer.get("warnings"):
        raise EvidenceError(f"answered with a warning: {_shown(str(answer['warnings']))}")
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        raise EvidenceError("answered with something else than a range of samples")
    return data


def _series(data: Mapping[str, Any]) -> tuple[Series, ...]:
    result = data.get("result")
    if not isinstance(result, list):
        raise EvidenceError("answered without a result")
    try:
        return tuple(_one(entry) for entry in result)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise EvidenceError("answered with a series of another form") from error


def _one(entry: Mapping[str, Any]) -> Series:
    labels = {str(key): str(value) for key, value in entry["metric"].items() if key != "__name__"}
    samples = tuple((float(at), _number(value)) for at, value in entry["values"])
    if any(later[0] <= earlier[0] for earlier, later in pairwise(samples)):
        raise ValueError("the samples are not in order")
    return Series(labels=labels, samples=samples)


def _number(value: object) -> float:
    if not isinstance(value, str):
        raise TypeError("values are strings")
    return float(value)


def _shown(text: str) -> str:
    """Return a foreign text as a message may repeat it: in ASCII, shortened."""
    return ascii(text if len(text) <= SHOWN_LIMIT else text[: SHOWN_LIMIT - 3] + "...")
