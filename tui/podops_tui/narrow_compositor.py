"""Drawing a part of a screen without what lies beside it."""

from __future__ import annotations

from collections.abc import Iterable

import textual
from textual._compositor import Compositor
from textual.geometry import Region
from textual.strip import Strip

#: Whether this is Textual as it was read for what is done here; another one draws as it does by itself.
AS_READ = textual.__version__.startswith("8.2.")


class NarrowCompositor(Compositor):
    """Asks for the lines of those widgets only that can be seen in what is drawn anew, and for those rows only.

    Textual asks every widget of the screen for all of its lines, and leaves out most: with a line of a log that was two
    thirds of the work.
    """

    def _get_renders(self, crop: Region | None = None) -> Iterable[tuple[Region, Region, list[Strip]]]:
        if crop is None:
            yield from super()._get_renders()
            return
        # The whole width: what lies beside `crop` is passed over when it is written, and lines stay as they are cut.
        rows = Region(0, crop.y, self.size.width, crop.height)
        for widget, (region, clip) in self.visible_widgets.items():
            shown = region.intersection(clip)
            if crop.overlaps(shown):
                asked = shown.intersection(rows)
                yield region, clip.intersection(rows), widget.render_lines(asked.translate((-region.x, -region.y)))
                if shown.contains_region(crop):
                    return  # the foremost comes first: it covers what lies behind


def compositor() -> Compositor:
    """For a screen."""
    return NarrowCompositor() if AS_READ else Compositor()
