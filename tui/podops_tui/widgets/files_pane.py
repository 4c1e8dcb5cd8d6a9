"""The recorded files of one run, and the end of the chosen one."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from podops_tui.ansi import clean
from podops_tui.format import size
from podops_tui.widgets.row_list import RowList, cell
from podops_tui.widgets.text_pane import TextPane

#: A file's name and its size in bytes.
FileRow = tuple[str, int]


class FilesTable(RowList[FileRow]):
    def key_of(self, item: FileRow) -> str:
        return item[0]

    def line_of(self, item: FileRow | None, width: int) -> Text:
        words = ("FILE", "SIZE") if item is None else (clean(item[0]), size(item[1]))
        return cell(words[0], max(10, min(40, width - 12))).append_text(cell(words[1], 10, right=True))


class FilesPane(Vertical):
    DEFAULT_CSS = """
    FilesPane #file-list { height: 1fr; max-height: 12; min-height: 4; border: round $surface-lighten-2; }
    FilesPane #file-list:focus { border: round $accent; }
    FilesPane #file { height: 2fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="files")

    def compose(self) -> ComposeResult:
        yield FilesTable(id="file-list")
        yield TextPane(id="file")

    def show_files(self, files: list[FileRow], directory: str) -> None:
        table = self.query_one(FilesTable)
        table.border_title = Text(clean(directory)).plain.replace("[", "\\[")
        table.show(files)

    @property
    def chosen(self) -> str:
        """The name of the file under the cursor; empty without one."""
        item = self.query_one(FilesTable).selected
        return "" if item is None else item[0]

    def show_file(self, text: Text) -> None:
        self.query_one("#file", TextPane).show(text)
