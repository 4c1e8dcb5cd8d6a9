"""The app: one fleet, the screens over it, and the one place where a key becomes a deed."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

from textual.app import App, SuspendNotSupported, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from podops.attach import attach_argv
from podops.config.model import ProjectConfig
from podops.errors import PodopsError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import FleetSnapshot, RunSnapshot
from podops.plan import SubmitPlan
from podops_tui.actions import ACTIONS, available, bindings
from podops_tui.ansi import clean
from podops_tui.screens.fleet import FleetScreen
from podops_tui.screens.help import HelpScreen
from podops_tui.screens.kill import KillScreen
from podops_tui.screens.run import RunScreen
from podops_tui.screens.submit import SubmitScreen
from podops_tui.terminal import hand_over

OnStart = Callable[[Fleet], Awaitable[object]]

_ACTIONS = {action.id: action for action in ACTIONS}


def run_app(config: ProjectConfig, *, read_only: bool = False, on_start: OnStart | None = None) -> int:
    """Run the app until the user leaves; returns the exit code. `on_start` gets the fleet once it is shown."""
    app = OpsApp(config, read_only=read_only, on_start=on_start)
    app.run()
    return app.return_code or 0


class OpsApp(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings()
    CSS = "Screen { scrollbar-size: 1 1; } * { scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }"
    TITLE = "ops"

    def __init__(
        self,
        config: ProjectConfig,
        *,
        read_only: bool = False,
        on_start: OnStart | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        """`fleet` is one not entered yet; made from `config` when not given."""
        super().__init__()
        self.config = config
        self.read_only = read_only
        self.fleet = fleet or Fleet(config)
        self._on_start = on_start
        self._changed = False
        self._stop: Callable[[], None] = lambda: None

    @property
    def snapshot(self) -> FleetSnapshot:
        return self.fleet.snapshot

    async def on_mount(self) -> None:
        await self.fleet.__aenter__()
        self._stop = self.fleet.subscribe(self._fleet_changed)
        await self.push_screen(FleetScreen())
        self.set_interval(0.1, self._redraw_changed)
        self.set_interval(1.0, self._redraw)
        if self._on_start is not None:
            self._do(self._on_start(self.fleet), "")

    async def on_unmount(self) -> None:
        self._stop()
        await self.fleet.__aexit__()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for action in available(self.read_only):
            yield SystemCommand(action.label, action.description, lambda name=action.id: self.action_op(name))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action != "op":
            return super().check_action(action, parameters)
        known = _ACTIONS.get(str(parameters[0]))
        return known is not None and not (self.read_only and known.mutating)

    def action_op(self, name: str) -> None:
        """Do what the table calls `name`, on this screen or for the whole app; refused when read-only."""
        if self.read_only and _ACTIONS[name].mutating:
            self.notify("read-only: nothing is changed", severity="warning", markup=False)
            return
        method = getattr(self.screen, f"op_{name}", None) or getattr(self, f"op_{name}", None)
        if method is not None:
            method()

    def op_open(self) -> None:
        run = self._selected_run()
        if run is not None and not isinstance(self.screen, RunScreen):
            self.push_screen(RunScreen(run))

    def op_help(self) -> None:
        self.push_screen(HelpScreen(self.read_only))

    def op_quit(self) -> None:
        self.exit()

    def op_retry(self) -> None:
        pod = getattr(self.screen, "selected_pod", None)
        if pod is not None:
            self.fleet.retry(pod.name)

    def op_retry_all(self) -> None:
        for pod in self.snapshot.pods.values():
            if pod.state != "live":
                self.fleet.retry(pod.name)

    def op_submit(self) -> None:
        def chosen(plan: SubmitPlan | None) -> None:
            if plan is not None:
                self._do(self.fleet.submit(plan), f"started {plan.run_id} on {plan.pod}")

        self.push_screen(SubmitScreen(self.config, self.snapshot), chosen)

    def op_kill(self) -> None:
        run = self._selected_run()
        if run is None:
            return
        if run.ended or not run.owned:
            self.notify("that run has ended" if run.ended else "that run belongs to another pod", markup=False)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                work = self.fleet.kill(run.pod, run.run_id, project=run.project)
                self._do(work, f"asked {run.run_id} to end")

        self.push_screen(KillScreen(run), answered)

    def op_attach(self) -> None:
        run = self._selected_run()
        if run is None:
            return
        if run.ended or not run.session:
            why = "has ended; its log can still be read" if run.ended else "has no tmux session"
            self.notify(f"{clean(run.run_id)} {why}", severity="warning", markup=False)
            return
        nested = bool(os.environ.get("TMUX"))
        argv = attach_argv(self.config.pods[run.pod], run.session, self.config.tmux.socket, nested=nested)
        self._do(self._open_terminal(argv), "")

    async def _open_terminal(self, argv: list[str]) -> None:
        try:
            code = await hand_over(self, argv)
        except SuspendNotSupported:
            raise PodopsError("this terminal cannot be handed over", "use: ops run attach") from None
        if code:
            self.notify(f"attach ended with exit code {code}", severity="warning", markup=False)

    def _selected_run(self) -> RunSnapshot | None:
        run: RunSnapshot | None = getattr(self.screen, "selected_run", None)
        return run

    def _do(self, work: Awaitable[object], done: str) -> None:
        self.run_worker(self._reported(work, done), exit_on_error=False)

    async def _reported(self, work: Awaitable[object], done: str) -> None:
        try:
            await work
        except PodopsError as error:
            text = clean(error.message) + (f"\n{clean(error.hint)}" if error.hint else "")
            self.notify(text, severity="error", timeout=10, markup=False)
        except Exception as error:  # a fault of one action is shown, never the end of the app
            self.notify(f"{type(error).__name__}: {clean(str(error))}", severity="error", timeout=10, markup=False)
        else:
            if done:
                self.notify(clean(done), markup=False)

    def _fleet_changed(self, pods: frozenset[str]) -> None:
        self._changed = True

    def _redraw_changed(self) -> None:
        if self._changed:
            self._redraw()

    def _redraw(self) -> None:
        self._changed = False
        for screen in self.screen_stack:
            if isinstance(screen, (FleetScreen, RunScreen)) and screen.is_mounted:
                screen.show_snapshot(self.snapshot)
