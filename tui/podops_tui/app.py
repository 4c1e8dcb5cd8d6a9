"""The app: one fleet, the screens over it, and the one place where a key becomes a deed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual.app import SuspendNotSupported, SystemCommand
from textual.binding import BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen
from textual.theme import BUILTIN_THEMES

from podops.attach import NO_SESSION, attach_argv, cannot_attach, session_gone
from podops.config.model import ProjectConfig
from podops.errors import PodopsError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
from podops.transport import locked_keys
from podops_runners.states import ENDED
from podops_tui import frames, pauses
from podops_tui.actions import ACTIONS, Action, available, bindings
from podops_tui.ansi import clean
from podops_tui.attending import Attending
from podops_tui.colours import ANSI
from podops_tui.follows_project_file import FILE_S, FollowsProjectFile
from podops_tui.keeping import Keeping
from podops_tui.keys_in_turn import KeysInTurn
from podops_tui.live_screen import LiveScreen
from podops_tui.queue_deeds import QueueDeeds
from podops_tui.screens.fleet import FleetScreen
from podops_tui.screens.help import HelpScreen
from podops_tui.screens.kill import KillScreen
from podops_tui.screens.passphrase import PassphraseScreen
from podops_tui.screens.pod import PodScreen
from podops_tui.screens.run import RunScreen
from podops_tui.screens.submit import SubmitScreen
from podops_tui.submission import Prefilled, Submission
from podops_tui.terminal import hand_over
from podops_tui.terminal_driver import TerminalDriver

OnStart = Callable[[Fleet], Awaitable[object]]

_ACTIONS = {action.id: action for action in ACTIONS}

#: Textual's accent becomes red on 16 colours, and red frames look like errors.
_THEME = replace(BUILTIN_THEMES["textual-dark"], name="ops", accent="#3fc5d6")

#: How often what changed is drawn, and how often ages are, seconds.
_DRAW_S, _AGE_S = 0.2, 1.0

#: When everything that is loaded late is there, seconds after the start.
_LOADED_S = 5.0


def _left_alone(runs: Sequence[RunSnapshot]) -> str:
    """Why none of the chosen runs is ended: each has ended or belongs to another pod."""
    one, ended = len(runs) == 1, [run.ended for run in runs]
    if all(ended):
        return "that run has ended" if one else "those runs have ended"
    if any(ended):
        return "each of those runs has ended or belongs to another pod"
    return "that run belongs to another pod" if one else "those runs belong to another pod"


def run_app(app: OpsApp) -> int:
    """Run the app until the user leaves; returns the exit code."""
    app.run()
    return app.return_code or 0


class OpsApp(QueueDeeds, FollowsProjectFile, KeysInTurn):
    BINDINGS: ClassVar[list[BindingType]] = bindings()
    # A notice lies over a line of frame, as a rule; below, it would hide the newest lines of the log.
    CSS = """
    Screen { scrollbar-size: 1 1; }
    * { scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    ToastRack { dock: top; align: right top; margin: 0 1; scrollbar-size: 0 0; }
    RunScreen ToastRack { margin: 2 1; }
    Toast { width: auto; max-width: 75%; margin: 0; padding: 0 1; }
    """
    TITLE = "ops"
    #: Everything that can be done here, and what becomes of the runs when the user leaves.
    TABLE: ClassVar[Sequence[Action]] = ACTIONS
    AFTER: ClassVar[str] = "runs go on"

    def __init__(
        self,
        config: ProjectConfig,
        *,
        read_only: bool = False,
        keeping: Keeping | None = None,
        on_start: OnStart | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        """`fleet` is one not entered yet; made from `config` when not given. `on_start` gets it once it is shown."""
        super().__init__()
        self.register_theme(_THEME)
        self.theme = _THEME.name
        self.ansi_theme_dark = ANSI
        self.config = config
        self.read_only = read_only
        self.fleet = fleet or Fleet(config, memory=keeping.history if keeping is not None else None)
        self._keeping = keeping
        self._on_start = on_start
        self._changed = self._drawing = False
        self._attending = Attending()
        frames.shorten()
        self._home = FleetScreen()
        self._leaving = ExitStack()
        self.begin_to_look(config)

    def get_driver_class(self) -> type[Driver]:
        chosen = super().get_driver_class()
        return TerminalDriver if chosen is LinuxDriver else chosen

    @property
    def snapshot(self) -> FleetSnapshot:
        return self.fleet.snapshot

    async def on_mount(self) -> None:
        if not self.is_headless:
            # Whoever ends us gets the terminal back as it was, and what comes after the app is still done.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)
        if self._keeping is not None:
            await self._keeping.recall(self.fleet)
        locked_keys.ask_with(self._ask_passphrase)
        await self.fleet.__aenter__()
        if self._keeping is not None:
            self._keeping.start(self.fleet)
        self._leaving.callback(self.fleet.subscribe(self._fleet_changed))
        self._leaving.enter_context(pauses.shortened())
        self.set_timer(_LOADED_S, pauses.leave_out_what_is_there)
        await self.push_screen(self._home)
        # Before the links are there: hundreds of pods at the pace of those in view would hold up their own connecting.
        await self._second()
        self.set_interval(_DRAW_S, self._redraw_changed)
        self.set_interval(_AGE_S, self._second)
        self.set_interval(FILE_S, self.look_at_project_file)
        if self._on_start is not None:
            self._do(self._on_start(self.fleet), "")

    async def _ask_passphrase(self, key: Path, again: bool) -> str | None:
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        await self.push_screen(PassphraseScreen(key, again), answer.set_result)
        return await answer

    async def on_unmount(self) -> None:
        locked_keys.ask_with(None)
        self._leaving.close()
        if self._keeping is not None:
            await self._keeping.stop()
        await self.fleet.__aexit__()
        if self._keeping is not None:
            await self._keeping.close()

    def action_help_quit(self) -> None:
        """ctrl+c: no run and no app is ended by a reflex."""
        self.notify(f"q leaves; {self.AFTER}", markup=False)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for action in available(self.read_only, self.TABLE):
            if action.id not in ("pane", "commands") and self._method(action.id) is not None:
                yield SystemCommand(action.label, action.description, lambda name=action.id: self.action_op(name))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action != "op":
            return super().check_action(action, parameters)
        return self.can(str(parameters[0]))

    def can(self, name: str) -> bool:
        """Whether the action exists here: known, not forbidden by read-only, and meant for this screen."""
        known = _ACTIONS.get(name)
        base = self._base
        if name == "open" and not (isinstance(base, LiveScreen) and base.OPENS):
            return False
        return known is not None and not (self.read_only and known.mutating) and self._method(name) is not None

    def action_op(self, name: str) -> None:
        """Do what the table calls `name`, on this screen or for the whole app; refused when read-only."""
        if self.read_only and _ACTIONS[name].mutating:
            self.notify("read-only: nothing is changed", severity="warning", markup=False)
            return
        method = self._method(name)
        if method is not None:
            method()

    def action_pane(self, number: int) -> None:
        if isinstance(self.screen, LiveScreen):
            self.screen.show_pane(number)

    def op_pane(self) -> None:
        """Panes are reached by their number alone."""

    def op_commands(self) -> None:
        self.action_command_palette()

    def op_open(self) -> None:
        screen = self.screen
        if isinstance(screen, LiveScreen) and screen.OPENS and (item := screen.to_open) is not None:
            self.push_screen(PodScreen(item.name) if isinstance(item, PodSnapshot) else RunScreen(item))

    def op_metrics(self) -> None:
        if (run := self._selected_run()) is not None:
            self.push_screen(RunScreen(run, pane="metrics"))

    def op_help(self) -> None:
        self.push_screen(HelpScreen(available(self.read_only, self.TABLE), self.read_only))

    def op_quit(self) -> None:
        self.exit()

    def op_copy(self) -> None:
        screen = self.screen
        name = screen.name_to_copy if isinstance(screen, LiveScreen) else ""
        text = screen.get_selected_text() or name
        if text:
            self.copy_to_clipboard(text)
            shown = clean(text) if len(text) < 60 and "\n" not in text else f"{len(text)} characters"
            self.notify(f"copied {shown}", markup=False)

    def op_retry(self) -> None:
        self.look_at_project_file(asked=True)
        screen = self.screen
        if isinstance(screen, LiveScreen) and (pod := screen.selected_pod) is not None:
            self.fleet.retry(pod.name)

    def op_retry_all(self) -> None:
        self.look_at_project_file(asked=True)
        for pod in self.snapshot.pods.values():
            if pod.state != "live":
                self.fleet.retry(pod.name)

    def op_submit(self) -> None:
        self._ask_submit(Prefilled())

    def op_rerun(self) -> None:
        run = self._selected_run()
        if run is None:
            return
        if run.preset not in self.config.presets:
            text = f"preset {clean(run.preset) or 'of this run'} is not in the project file"
            self.notify(text, severity="warning", markup=False)
            return
        self._do(self._rerun(run), "")

    async def _rerun(self, run: RunSnapshot) -> None:
        answer = await self.fleet.run_records(run.pod, run.run_id, project=run.project)
        self._ask_submit(Prefilled.from_spec(run, answer.get("spec")))

    def _ask_submit(self, prefilled: Prefilled) -> None:
        def chosen(submission: Submission | None) -> None:
            if submission is not None:
                self._do(self._submit(submission), "")

        self.push_screen(SubmitScreen(self.config, lambda: self.snapshot, prefilled), chosen)

    async def _submit(self, submission: Submission) -> None:
        plan = submission.plan
        answer = await self.fleet.submit(plan, force=submission.force)
        self._home.select_run(self.config.name, plan.run_id)
        if (state := answer.get("state")) in ("queued", "held"):
            why = str(answer.get("why") or "waits for its turn")
            text = f"{plan.run_id} is {state} on {plan.pod}" + ("" if state == "held" else f": {why}")
        elif state in ENDED:
            text = f"{plan.run_id} has ended already on {plan.pod}: {answer.get('why') or state}"
        else:
            text = f"started {plan.run_id} on {plan.pod}"
        self.notify(clean(text), severity="warning" if state in ENDED else "information", markup=False)

    def op_kill(self) -> None:
        screen = self.screen
        chosen = screen.chosen_runs if isinstance(screen, LiveScreen) else []
        runs = [run for run in chosen if not run.ended and run.owned]
        if not runs:
            if chosen:
                self.notify(_left_alone(chosen), markup=False)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._home.clear_marks()
                for run in runs:
                    work = self.fleet.kill(run.pod, run.run_id, project=run.project)
                    self._do(work, f"cancelled {run.run_id}" if run.waiting else f"asked {run.run_id} to end")

        self.push_screen(KillScreen(runs), answered)

    def op_attach(self) -> None:
        run = self._selected_run()
        if run is None:
            return
        if why := cannot_attach(run):
            then = "; its log can still be read" if run.ended else ""
            self.notify(f"{clean(run.run_id)} {clean(why)}{then}", severity="warning", markup=False)
            return
        self._do(self._open_terminal(run), "")

    async def _open_terminal(self, run: RunSnapshot) -> None:
        nested = bool(os.environ.get("TMUX"))
        argv = attach_argv(self.config.pods[run.pod], run.session, self.config.tmux.socket, nested=nested)
        try:
            with self._attending.handed_over():
                code = await hand_over(self, argv)
        except SuspendNotSupported:
            raise PodopsError("this terminal cannot be handed over", "use: ops run attach") from None
        if code == NO_SESSION:
            raise session_gone(run)
        if code:
            self.notify(f"attach ended with exit code {code}", severity="warning", markup=False)

    def _method(self, name: str) -> Callable[[], None] | None:
        """Where the action is done: by the screen, or by the app."""
        method: Callable[[], None] | None = getattr(self._base, f"op_{name}", None) or getattr(self, f"op_{name}", None)
        return method

    @property
    def _base(self) -> Screen[Any]:
        """The screen under any dialogs: what can be done does not change because a question is asked."""
        return next((screen for screen in reversed(self.screen_stack) if not screen.is_modal), self.screen)

    def _selected_run(self) -> RunSnapshot | None:
        return self.screen.selected_run if isinstance(self.screen, LiveScreen) else None

    def do_each(self, work: Sequence[tuple[RunSnapshot, Awaitable[object]]], done: str) -> None:
        """Do something to each run, and tell once what was done to how many; each failure is told by itself."""

        async def all_of_it() -> None:
            results = [await self._reported(one, "") for _, one in work]
            if results.count(True) == 1:
                name = next(run.run_id for (run, _), good in zip(work, results, strict=True) if good)
                self.notify(clean(f"{name}: {done}"), markup=False)
            elif any(results):
                self.notify(clean(f"{results.count(True)} runs: {done}"), markup=False)

        if work:
            self.run_worker(all_of_it(), exit_on_error=False)

    def _do(self, work: Awaitable[object], done: str) -> None:
        self.run_worker(self._reported(work, done), exit_on_error=False)

    async def _reported(self, work: Awaitable[object], done: str) -> bool:
        """Whether the work was done; what went wrong is told, and so is `done` where it says anything."""
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
            return True
        return False

    def _fleet_changed(self, pods: frozenset[str]) -> None:
        self.config = self.fleet.config
        self._changed = True

    async def _redraw_changed(self) -> None:
        if self._changed and self.app_focus and self._attending.may_draw:
            await self._redraw()

    async def _second(self) -> None:
        # An app that is being taken down still has its timers when it has no screen any more.
        if not self.is_running or not (base := self._base).is_running:
            return
        if isinstance(self._driver, TerminalDriver):
            self._driver.look()
        in_view = base.pods_in_view if isinstance(base, LiveScreen) else frozenset[str]()
        self.fleet.attend(in_view, self._attending.attention(self.app_focus))
        if self._attending.may_draw:
            await self._redraw()

    async def _redraw(self) -> None:
        while self._keeping is not None and self._keeping.told:
            self.notify(clean(self._keeping.told.popleft()), severity="warning", timeout=10, markup=False)
        self._changed = self._drawing
        if not self._drawing:
            self._drawing = True
            try:
                await self._draw()
            finally:
                self._drawing = False

    async def _draw(self) -> None:
        """Bring up to date what can be seen. In parts: a line of a log does not wait for the whole."""
        took, parts = 0.0, self._parts()
        while True:
            begun = time.thread_time()
            # While the app is taken down its screens have no widgets left to draw.
            more = self.is_running and next(parts, None) is not None
            took += time.thread_time() - begun
            if not more:
                break
            # The loop looks at its sockets after one turn, and this comes after what they have for the next.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        self._attending.drawn(took)

    def _parts(self) -> Iterator[bool]:
        """Of the uppermost full screen, and dialogs over it."""
        for screen in reversed(self.screen_stack):
            if screen.is_mounted and isinstance(screen, LiveScreen):
                for _ in screen.parts(self.snapshot):
                    yield True
            elif screen.is_mounted and isinstance(screen, SubmitScreen):
                screen.show_snapshot(self.snapshot)
                yield True
            if not screen.is_modal:
                return
