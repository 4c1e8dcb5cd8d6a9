"""Requests to pods whose link may be lost before the answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from podops.errors import UnreachableError
from podops.fleet.pod_link import PodLink
from podops.link.client import REQUEST_S
from podops_runners.frames import Frame

#: How long a change waits for a new link when its own was lost before the answer, seconds.
AGAIN_S = 30.0


class Asking:
    """Asks the pods that `link_of` knows, with the patience of whoever asks: `answer_timeout` seconds, or enough."""

    def __init__(self, link_of: Callable[[str], PodLink], answer_timeout: float | None) -> None:
        self._link_of = link_of
        self._answer_timeout = answer_timeout

    async def change(
        self, pod: str, op: str, what: str, hint: str, within: float = REQUEST_S, **fields: Any
    ) -> dict[str, Any]:
        """The pod's answer to a request that changes something.

        When the link is lost before the answer, the request is sent once more on the next link, under the same id, by
        which the pod knows it again. Raises `UnreachableError` with the code `unconfirmed` when no answer comes.
        """
        link = self._link_of(pod)
        client = await link.client()
        fields.setdefault("request_id", os.urandom(16).hex())
        asked = time.monotonic()
        if op != "submit":
            within = self.patience(within)
        try:
            try:
                return (await client.request(op, within=within, **fields)).header
            except UnreachableError:
                left = self.patience(AGAIN_S) - (time.monotonic() - asked)
                again = await link.client_after(client, left) if client.lost and left > 0 else None
                if again is None:
                    raise
                return (await again.request(op, within=within, **fields)).header
        except UnreachableError as error:
            message = f"pod {pod} did not confirm {what}: {error.message.removeprefix(f'pod {pod}: ')}"
            raise UnreachableError(message, hint, code="unconfirmed") from error

    async def ask(self, pod: str, op: str, within: float = REQUEST_S, *, again: bool = False, **fields: Any) -> Frame:
        """The pod's answer to a request that changes nothing; asked anew when a shared link ends before it.

        `again`: when any link does.
        """
        link = self._link_of(pod)
        client = await link.client()
        asked = time.monotonic()
        within = self.patience(within)
        try:
            return await client.request(op, within=within, **fields)
        except UnreachableError:
            left = within - (time.monotonic() - asked)
            anew = client.lost and (again or client.shared) and left > 0
            after = await link.client_after(client, left) if anew else None
            if after is None:
                raise
            return await after.request(op, within=left, **fields)

    def patience(self, most: float) -> float:
        """How long an answer is waited for that may take `most` seconds."""
        return most if self._answer_timeout is None else min(most, self._answer_timeout)
