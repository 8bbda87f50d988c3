"""The process that measures: it gets a request on standard input and answers with lines of JSON.

It is a process of its own because libraries fix their threads and cores when they are imported. What they print
goes to standard error, so that only answers are on standard output.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Say = Callable[..., None]


def main() -> int:
    """Serve one request."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), file=answers, flush=True)

    serve(json.load(sys.stdin), say)
    return 0


def serve(request: dict[str, Any], say: Say) -> None:
    """Measure what is requested.

    Parameters
    ----------
    request : dict
        "cases" (as dicts), "sides" (names), "threads", "cores" to stay on, "seconds" for each side of a case, and the
        "clock".
    say : callable
        Takes the name of an event and its fields.
    """
    from . import threads

    threads.pin(request["cores"])
    from .cases import Case
    from .peak import measure_peak
    from .sides import missing, version_of

    names = []
    for name in request["sides"]:
        reason = missing(name)
        if reason:
            say("missing", side=name, reason=reason)
        else:
            names.append(name)
    threads.limit(request["threads"], names)
    say("ready", versions={name: version_of(name) for name in names})
    for fields in request["cases"]:
        case = Case.from_dict(fields)
        say("case", case=case.name)
        _measure(case, names, request, say)
        say("peak", flops=measure_peak(request["threads"]))


def _measure(case: Any, names: list[str], request: dict[str, Any], say: Say) -> None:
    from .agreement import EPOCHS, DisagreementError, check_losses
    from .cases import make_data, start_weights
    from .disturbance import Disturbance
    from .sides import Side, UnsupportedCaseError, make_side
    from .timing import PAUSE, time_sides

    (x, y), weights = make_data(case), start_weights(case)
    sides: dict[str, Side] = {}
    losses = {}
    for name in names:
        say("side", case=case.name, side=name)
        try:
            sides[name] = make_side(name, case, x, y, weights)
        except UnsupportedCaseError as error:
            say("unsupported", case=case.name, side=name, reason=str(error))
            continue
        losses[name] = sides[name].train(EPOCHS)
    if not sides:
        return
    try:
        check_losses(case, losses)
    except DisagreementError as error:
        say("disagreement", case=case.name, reason=str(error))
        return
    say("timing", case=case.name)
    pause = PAUSE if request["threads"] > 1 else 0.0
    disturbance = Disturbance(request["cores"])
    seconds = time_sides(sides, case.steps, request["seconds"], request["clock"], pause)
    say("times", case=case.name, losses=losses, seconds=seconds, others=disturbance.share())


if __name__ == "__main__":
    sys.exit(main())
