"""`python3 podops.pyz link | supervise DIR | kill DIR`: the pod side's entry points."""

import sys
from typing import List


def main(arguments: List[str]) -> int:
    """Returns the exit status; 2 for anything that is not one of the three."""
    if arguments[:1] == ["link"]:
        from podops_runners import link_server

        return link_server.main(arguments[1:])
    if arguments[:1] == ["supervise"] and len(arguments) == 2:
        from podops_runners import supervise

        return supervise.supervise(arguments[1])
    if arguments[:1] == ["kill"] and len(arguments) == 2:
        from podops_runners import kill

        return kill.main(arguments[1])
    sys.stderr.write("usage: podops.pyz link | supervise RUN_DIR | kill RUN_DIR\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
