"""`make bench`: each benchmark on a server of its own. `make bench ARGS="ledger=10000000"`, `make bench ARGS=list`."""

import sys

from bench import gateway, ledger, streams
from bench.choosing import Runnable, run_chosen

BENCHMARKS = {
    "gateway": Runnable(gateway.main, 6, "seconds each", 3, "what a call costs beside a bare relay"),
    "ledger": Runnable(
        ledger.main, 1_000_000, "entries", 4, "admissions and settlements, hot and many, small to large"
    ),
    "streams": Runnable(streams.main, 1000, "streams", 1, "memory of a process with so many streams open"),
}

if __name__ == "__main__":
    sys.exit(run_chosen("bench", BENCHMARKS, sys.argv[1:]))
