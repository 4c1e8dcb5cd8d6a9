"""What the app does when its project file changes: new presets count, faults are told. Mixed into the app."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, cast

from textual.widget import Widget
from textual.widgets._toast import Toast

from podops.config.model import ProjectConfig
from podops.config.reread import ProjectFile
from podops_tui.ansi import clean

if TYPE_CHECKING:
    from podops_tui.app import OpsApp

#: How often the file is looked at, seconds.
FILE_S = 2.0

#: How long a fault of the file is shown, seconds.
_SHOWN_S = 15.0


class FollowsProjectFile:
    def begin_to_look(self, config: ProjectConfig) -> None:
        self._project_file = ProjectFile(config, os.environ)
        self._looking = asyncio.Lock()
        # What is told of the file, until it is told anew.
        self._file_notice = ""

    def look_at_project_file(self, asked: bool = False) -> None:
        """A problem that lasts is told again only when `asked` for."""
        cast("OpsApp", self).run_worker(self._look(asked), exit_on_error=False)

    async def _look(self, asked: bool) -> None:
        app = cast("OpsApp", self)
        async with self._looking:
            # Not in this loop: a home directory may hang.
            found = await asyncio.to_thread(self._project_file.look, asked)
        if found is None:
            return
        if found.presets is not None:
            app.fleet.use_presets(found.presets)
            app.config = app.fleet.config
        how: dict[str, Any] = {"severity": "error", "timeout": _SHOWN_S} if found.problem else {}
        _take_back(app, self._file_notice)
        self._file_notice = "\n".join(clean(line) for line in found.told.split("\n"))
        app.notify(self._file_notice, markup=False, **how)


def _take_back(app: OpsApp, message: str) -> None:
    """Whoever edits a file saves it often: what was told of each save would cover more and more."""
    for notice in list(app._notifications):
        if notice.message == message:
            app._unnotify(notice, refresh=False)
    for toast in [toast for screen in app.screen_stack for toast in screen.query(Toast)]:
        # With the row around it, which Textual would leave.
        if toast._notification.message == message and isinstance(toast.parent, Widget):
            toast.parent.remove()
