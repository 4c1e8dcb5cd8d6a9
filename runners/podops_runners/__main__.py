"""`python3 podops.pyz link | search | agent | supervise DIR [TOKEN] | kill DIR`: the pod side's entry points."""

import sys

from podops_runners.typed import List


def main(arguments: List[str]) -> int:
    """Returns the exit status; 2 for anything else."""
    if arguments[:1] == ["link"]:
        from podops_runners import link_server

        return link_server.main(arguments[1:])
    if arguments == ["search"]:
        from podops_runners import search_process

        return search_process.main()
    if arguments[:1] == ["agent"] and len(arguments) in (1, 2):
        from podops_runners import agent

        return agent.main(*map(int, arguments[1:]))
    if arguments[:1] == ["supervise"] and len(arguments) in (2, 3):
        from podops_runners import supervise

        return supervise.supervise(*arguments[1:])
    if arguments[:1] == ["kill"] and len(arguments) == 2:
        from podops_runners import kill

        return kill.main(arguments[1])
    sys.stderr.write("usage: podops.pyz link | search | agent | supervise RUN_DIR [TOKEN] | kill RUN_DIR\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
