"""What the app does when its project file changes: new presets count, faults are told. Mixed into the app."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, cast

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
        app.notify("\n".join(clean(line) for line in found.told.split("\n")), markup=False, **how)
