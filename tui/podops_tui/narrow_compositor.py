"""Drawing parts of a screen without what lies beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import textual
from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip

#: Whether this is Textual as it was read for what is done here; another one draws as it does by itself.
AS_READ = textual.__version__.startswith("8.2.")


class NarrowCompositor(Compositor):
    """Asks for the lines of those widgets only that can be seen in what is drawn anew, and for those rows only.

    Textual asks every widget of the screen for all of its lines, and leaves out most: with a line of a log that was two
    thirds of the work. And it takes all parts that are drawn anew for one that surrounds them: a row at the top and a
    number at the bottom would be the whole screen.
    """

    # What is drawn anew at the moment.
    _parts: Collection[Region] = ()

    def render_partial_update(self) -> ChopsUpdate | None:
        screen = self.size.region
        self._parts = [part for dirty in self._dirty_regions if (part := dirty.intersection(screen))]
        update = super().render_partial_update()
        self._parts = ()
        return update

    def _get_renders(self, crop: Region | None = None) -> Iterable[tuple[Region, Region, list[Strip]]]:
        parts = self._parts
        if not parts:
            yield from super()._get_renders(crop)
            return
        for widget, (region, clip) in self.visible_widgets.items():
            shown = region.intersection(clip)
            seen = [part for part in parts if part.overlaps(shown)]
            if not seen:
                continue
            # The whole width: what lies beside a part is passed over when it is written; lines stay as they are cut.
            top, bottom = min(part.y for part in seen), max(part.bottom for part in seen)
            rows = Region(0, top, self.size.width, bottom - top)
            asked = shown.intersection(rows)
            yield region, clip.intersection(rows), widget.render_lines(asked.translate((-region.x, -region.y)))
            # The foremost comes first: it covers what lies behind.
            parts = [part for part in parts if not shown.contains_region(part)]
            if not parts:
                return


def compositor() -> Compositor:
    """For a screen."""
    return NarrowCompositor() if AS_READ else Compositor()
