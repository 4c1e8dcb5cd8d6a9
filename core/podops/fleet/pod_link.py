"""One pod: connect, keep what it says, notice when it stops, and try again. No pod ever delays another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from podops import errors
from podops.config.model import PodConfig, ProjectConfig
from podops.fleet.attention import Pace
from podops.fleet.hello import hello
from podops.fleet.known_pod import KnownPod
from podops.fleet.listeners import Listeners
from podops.fleet.pacing import Backoff, Gate, set_within
from podops.fleet.patience import patient
from podops.fleet.snapshot import PodSnapshot, PodState
from podops.fleet.way import Sharer, Way
from podops.link.client import SILENCE_S, LinkClient
from podops.link.pulse import look_each_tick
from podops.transport.base import Transport
from podops.transport.choose import transport_for
from podops.transport.security_keys import not_touched
from podops_runners.frames import Frame, encode_frame
from podops_runners.protocol import DEAD_MAN_S, PROTOCOL_VERSION

#: A live pod pushes once a second; after this long without a byte what it said is old, seconds.
STALE_S = 5.0

#: How often the cause of a refusal is looked at, seconds.
_LOOK_S = 1.0

#: A link that lived this long had held: the next attempt follows at once.
_HELD_S = 3.0

#: Where SSH itself finds out that the way is broken, a pod side that says nothing is only slow for this long, seconds.
_SLOW_S = 20.0

#: A link is never given up for less silence, however short somebody's patience is, seconds.
_LEAST_SILENCE_S = 3.0

#: How soon a link must show life after this machine's network changed or it slept for a moment, seconds.
_PROBE_S = 3.0

#: What is said of a pod that has let us in and is not live yet.
_STARTING = "it answers, its side of the link is starting"


class PodLink:
    """Keeps what is `known` of one pod true while `run` runs.

    `changed` is called after each change with the pod's name, and with whether all that is new is a sample.
    """

    def __init__(
        self,
        config: ProjectConfig,
        pod: PodConfig,
        changed: Callable[[str, bool], None],
        gate: Gate,
        connect_timeout: float,
        silence_s: float | None = None,
        sharer: Sharer | None = None,
        choose: Callable[[PodConfig], Transport] = transport_for,
    ) -> None:
        """`silence_s`: how long the pod may say nothing before the link counts as lost, seconds.

        A link that `sharer` has is used before one is made.
        """
        self._config = config
        #: What it is a link to.
        self.pod = pod
        #: What it has told.
        self.known = KnownPod(pod, changed)
        self._gate = gate
        #: Gives up the place of the attempt under way.
        self._let_in: Callable[[], None] = gate.open
        self._connect_timeout = connect_timeout
        patience = _SLOW_S if pod.ssh or pod.local else SILENCE_S
        self._silence_s = patience if silence_s is None else max(_LEAST_SILENCE_S, min(silence_s, patience))
        self._way = Way(sharer, choose)
        self._pace = Pace()
        self._client: LinkClient | None = None
        #: Who gets what belongs to one log or one connection.
        self.listeners = Listeners()
        self._connecting: asyncio.Task[LinkClient] | None = None
        self._backoff = Backoff()
        self._hurry = asyncio.Event()
        # Whether the next attempt may well succeed: the first one, and the one after a link that had held.
        self._hopeful = pod.gone_since is None
        # What the attempt under way wants of a person.
        self._asked = ""
        #: Of the last failure.
        self.error_code = ""

    @property
    def snapshot(self) -> PodSnapshot:
        """What is known of the pod at this moment."""
        return self.known.snapshot

    async def run(self) -> None:
        """Connect and reconnect until cancelled."""
        while True:
            self._hurry.clear()
            # Not kept in a name here: by its traceback it holds the whole lost link, for as long as the next one lives.
            await self._pause_after(*await self._attempt())

    async def _pause_after(self, error: errors.PodopsError, held: bool) -> None:
        """Wait until it is time for the next attempt."""
        if isinstance(error, errors.RefusedError):
            if await self._way.unlock():
                return
            # Asked again and again, a pod with a wrong key locks its user out; a person knows when it is mended.
            self._hopeful = self._hurry.is_set()
            self._fail("refused", error, None)
            while not await set_within(self._hurry, _LOOK_S):
                if self._way.mended():
                    self._hurry.set()
        else:
            pause = self._backoff.after_a_link_that_held() if held else self._backoff.after_failure()
            self._hopeful = held or self._hurry.is_set()
            self._fail("unreachable", error, time.time() + pause)
            await set_within(self._hurry, pause)
        if self._hurry.is_set():
            self._hopeful = True
            self.known.set(state="connecting", retry_at=None)
        self.known.set(retry_at=None)

    def retry(self) -> None:
        """Connect now, unless connected."""
        if self._client is None:
            self._backoff.reset()
            self._hurry.set()

    def pace(self, pace: Pace) -> None:
        """From now on, and on every later link, the pod is asked to tell what is new this often."""
        if pace != self._pace:
            self._pace = pace
            if self._client is not None:
                self._client.tell("rate", **pace.fields())

    def show(self, pod: PodConfig) -> None:
        """The same pod by the same way, with another price or other tags."""
        self.pod = pod
        self.known.set(tags=pod.tags, price_per_hour=pod.price_per_hour)

    def leave(self, pod: PodConfig) -> None:
        """The pod is no more, says its source; what is known of it stays. `run` must have ended."""
        self.pod = pod
        self._hopeful = False
        self.known.leave(pod)

    def slept(self, seconds: float) -> None:
        """This machine slept: a link that the pod has given up meanwhile is made anew at once."""
        if self._client is not None and seconds > DEAD_MAN_S:
            self._client.give_up(f"this machine slept for {seconds:.0f} s")
        else:
            self.network_changed()

    def network_changed(self) -> None:
        """Find out now whether the link still works. An attempt under way is begun anew: at once where nobody has
        answered it, else when it has not succeeded in a moment, or it would log in once for each change of a network
        that has many, and want a touch of a security key for each. A refusal stands, and so does what waits for one."""
        if self._client is not None:
            self._client.probe(_PROBE_S)
        elif self.snapshot.state != "refused" and not self.waits_for_a_person:
            self.retry()
            if self._connecting is not None:
                wait = _PROBE_S if self._way.answered() else 0.0
                asyncio.get_running_loop().call_later(wait, self._connecting.cancel)

    @property
    def tells_itself(self) -> bool:
        """Whether what `snapshot` shows is what the pod said on this very link, which is our own."""
        return self.known.complete and self.snapshot.state in ("live", "stale") and not self.shared

    @property
    def waits_for_a_person(self) -> bool:
        """Whether somebody has to do something, such as to touch a key, before the pod can be live."""
        return self._connecting is not None and bool(self._way.asks())

    @property
    def shared(self) -> bool:
        """Whether the live link is another process's."""
        return self._client is not None and self._client.shared

    async def may_be_shared(self) -> bool:
        """Whether others may take this link for one that they would make themselves."""
        return self.tells_itself and await self._way.leads_there_still()

    async def client(self) -> LinkClient:
        """The live link; waits for an attempt that may succeed. Raises `UnreachableError` with the pod's reason."""
        while self._client is None:
            if self.snapshot.state in ("unreachable", "refused", "gone") and not self._hopeful:
                raise self._not_connected()
            await self.known.state_change()
        return self._client

    async def client_after(self, lost: LinkClient, within: float) -> LinkClient | None:
        """The link that follows `lost`, or `None` when there is none `within` so many seconds."""
        try:
            async with asyncio.timeout(within):
                while self._client is None or self._client is lost:
                    if self.snapshot.state == "refused":
                        return None
                    await self.known.state_change()
        except TimeoutError:
            return None
        return self._client

    def _not_connected(self) -> errors.UnreachableError:
        kind = errors.RefusedError if self.snapshot.state == "refused" else errors.UnreachableError
        message = f"pod {self.pod.name} cannot be reached: {self.snapshot.reason or 'not connected'}"
        return kind(message, self.snapshot.hint, code=self.error_code)

    async def _attempt(self) -> tuple[errors.PodopsError, bool]:
        """One connection from its first byte to its loss: why it ended, and whether it had held."""
        client: LinkClient | None = None
        begun, self._asked = time.monotonic(), ""
        try:
            async with (
                self._gate.place(elsewhere=bool(self.pod.ssh)) as self._let_in,
                asyncio.timeout(self._connect_timeout) as limit,
            ):
                with patient(limit, self._connect_timeout, self._way.asks, self._wait_for_a_person, self._way.queues):
                    client = await self._connected()
            begun = time.monotonic()
            error = await self._watch(client)
        except TimeoutError:
            error = self._given_up()
        except errors.PodopsError as raised:
            error = raised
        except Exception as raised:
            error = errors.UnreachableError(f"connecting failed: {type(raised).__name__}: {raised}")
        finally:
            # Cancelled in the moment it became live, the attempt has told nobody but `_take_hello`.
            client, self._client = client or self._client, None
            self.known.lose()
            self.listeners.lose()
            if client is not None:
                await client.close()
        if client is not None and client.shared:
            self._way.lost_share()
            return error, True
        return error, client is not None and time.monotonic() - begun >= _HELD_S

    def _given_up(self) -> errors.UnreachableError:
        """Nobody can have touched a key that has waited so long; asked again and again, it would blink for ever."""
        if self._asked:
            return not_touched(self._asked)
        within = round(self._connect_timeout, 1)
        return errors.UnreachableError(f"{self.pod.address} did not answer within {within:g} s", "is the pod up?")

    def _wait_for_a_person(self, asks: str) -> None:
        self._asked = asks
        if self.snapshot.state in ("connecting", "unreachable"):
            self.known.set(reason=asks)

    async def _connected(self) -> LinkClient:
        """A new link; begun anew, within the same time, whenever the network changes meanwhile."""
        while True:
            self._connecting = asyncio.create_task(self._connect(), name=f"podops-connect-{self.pod.name}")
            try:
                return await self._connecting
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
            finally:
                self._connecting = None

    async def _connect(self) -> LinkClient:
        fields = hello(self._config, self.pod, self._pace)
        opened = await self._way.open(self.pod, self._answered, encode_frame({"id": 0, "op": "hello", **fields}))
        client = LinkClient(
            opened.process,
            self.pod.name,
            self._take_push,
            opened.early,
            silence_s=self._silence_s,
            shared=opened.shared,
        )

        def take(answer: Frame) -> None:
            self._take_hello(answer, client)

        try:
            client.start()
            if opened.shared:
                await client.request("hello", on_answer=take, **fields)
            else:
                await client.request("hello", on_answer=take, sent_as=0)
            return client
        except BaseException:
            with contextlib.suppress(Exception):
                await client.close()
            raise

    def _answered(self) -> None:
        """The pod has let us in: somebody who waits for it shall see that."""
        # What is left to do until it is live is the pod's work, not this machine's.
        self._let_in()
        if self.snapshot.state == "connecting":
            self.known.set(reason=_STARTING, last_seen=time.time())

    def _take_hello(self, answer: Frame, client: LinkClient) -> None:
        if answer.header.get("protocol") != PROTOCOL_VERSION:
            raise errors.ProtocolError(f"pod {self.pod.name} speaks another version of the link protocol")
        self._client = client
        self._hurry.clear()
        self.known.take_hello(answer.header)

    async def _watch(self, client: LinkClient) -> errors.PodopsError:
        """Wait for the end of the link; say `stale` while it is silent."""

        def look() -> None:
            silent = time.monotonic() - client.heard_at >= STALE_S
            if silent and self.snapshot.state == "live":
                self.known.set(state="stale", reason=f"connected, but silent for {STALE_S:g} s")
            elif not silent and self.snapshot.state == "stale":
                self.known.go_live()

        stop_looking = look_each_tick(look)
        try:
            return await client.closed()
        finally:
            stop_looking()

    def _take_push(self, frame: Frame) -> None:
        kind = frame.header.get("push")
        if not self.listeners.take(kind, frame):
            self.known.take_push(kind, frame.header, self._client.latency_s if self._client else None)

    def _fail(self, state: PodState, error: errors.PodopsError, retry_at: float | None) -> None:
        self.error_code = error.error_code
        self.known.fail(state, error, retry_at)
