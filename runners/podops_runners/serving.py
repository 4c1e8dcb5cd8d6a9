"""What a supervisor does for a run that serves: a port for it before each attempt, its address in the records."""

from podops_runners import states
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, Optional
from podops_runners.verdict import Verdict

#: The port of an attempt before may be let go of within this time, seconds.
_PATIENCE_S = 3.0


def wanted(spec: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """The service a spec asks for, or `None`."""
    service = spec.get("service")
    known = isinstance(service, dict) and (isinstance(service.get("port"), int) or service.get("port") == "auto")
    return service if known else None


def take_port(run: RunDir, service: Dict[str, Any], claim: Dict[str, Any]) -> Optional[Verdict]:
    """Make sure of the port, before anything is loaded for it, and put it into the claim; why the run cannot start."""
    # Here, as only services need it and every other run would wait for it.
    from podops_runners import ports

    before = claim.get("port")
    try:
        claim["port"] = ports.reserve(run, service["port"], before, 0.0 if before is None else _PATIENCE_S)
    except ports.PortTaken as error:
        evidence = dict({"source": "supervisor"}, **error.evidence)
        return Verdict(states.FAILED, "address_in_use", str(error), evidence, None)
    except OSError as error:
        told = "no port can be reserved: {}".format(error)
        return Verdict(states.FAILED, "setup_failed", told, {"source": "supervisor"}, None)
    return None


def release_port(run: RunDir) -> None:
    """Let other runs have it. Raises `OSError`."""
    from podops_runners import ports

    ports.release(run)


def with_port(spec: Dict[str, Any], claim: Dict[str, Any]) -> Dict[str, Any]:
    """The spec with the port its service has got."""
    service, port = wanted(spec), claim.get("port")
    resolved = dict(service, port=port) if service is not None and isinstance(port, int) else None
    return dict(spec, service=resolved)


def endpoint(claim: Dict[str, Any]) -> Dict[str, Any]:
    """`endpoint` of the metadata, seen from the run's own pod; nothing for a run that does not serve."""
    port = claim.get("port")
    if not isinstance(port, int):
        return {}
    return {"endpoint": {"host": "127.0.0.1", "port": port, "url": "http://127.0.0.1:{}".format(port)}}
