"""What a client says of itself and its projects in its first request, whatever it sends there."""

from podops_runners import machine, outputs_root, records
from podops_runners.runfiles import layout_of
from podops_runners.scan import Project
from podops_runners.typed import Any, Dict, List, Tuple

Header = Dict[str, Any]


def projects(asked: Any) -> Tuple[List[Project], List[Header]]:
    """The projects a client asks about, and what to tell it of each: where it is, and what is wrong with it."""
    found, told = [], []
    for entry in asked if isinstance(asked, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("outputs_dir"), str):
            continue
        directory = outputs_root.resolve(entry["outputs_dir"])
        found.append(Project(str(entry.get("name") or ""), directory, layout_of(entry)))
        told.append({"name": found[-1].name, "outputs_dir": directory, "problem": outputs_root.problem(directory)})
    return found, told


def machine_roots(request: Header, projects: List[Project], simulated: int) -> List[machine.Root]:
    settings = request.get("tmux")
    tmux = settings if isinstance(settings, dict) else {}
    busy = records.number(request.get("gpu_busy_bytes"))
    return [
        machine.Root(
            project.outputs_dir,
            project.name,
            str(request.get("pod") or ""),
            project.layout,
            str(tmux.get("socket") or "podops") if tmux.get("enabled", True) else None,
            simulated,
            int(busy) if busy else machine.BUSY_MEMORY,
        )
        for project in projects
    ]


def seconds(asked: Any, before: float, least: float, most: float) -> float:
    if not isinstance(asked, (int, float)) or isinstance(asked, bool) or asked != asked:
        return before
    return float(min(most, max(least, asked)))
