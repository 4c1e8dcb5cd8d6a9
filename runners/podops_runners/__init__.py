"""What runs on a pod: standard library only, Python 3.8 and later, shipped as one zipapp.

The modules `states`, `rundir`, `records`, `runid`, `frames` and `protocol` are the contract: the engine on the
researcher's machine imports them too, so both ends agree by construction.
"""

__version__ = "0.1.0"
