"""What of a login's environment is passed on: by a link's start to the link, by the link to its runs.

Anything else could be somebody's secret, or an accident of the shell somebody happened to sit in.
"""

_LOCALE = ("ADDRESS", "ALL", "COLLATE", "CTYPE", "IDENTIFICATION", "MEASUREMENT", "MESSAGES", "MONETARY", "NAME")

#: What a run gets.
FOR_RUNS = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LANG") + tuple(
    "LC_" + name for name in _LOCALE + ("NUMERIC", "PAPER", "TELEPHONE", "TIME")
)

#: What a link gets: where our own files lie besides.
FOR_LINKS = FOR_RUNS + ("XDG_CACHE_HOME", "TMUX_TMPDIR", "PODOPS_STATE_DIR")
