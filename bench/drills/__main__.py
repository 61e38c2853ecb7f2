"""`make drill`: all of them. `make drill ARGS="crashes=50 soak"`: some, with another number. `make drill ARGS=list`."""

import sys

from bench.choosing import Runnable, run_chosen
from bench.drills import crashes, gateway, outages, races, rights, soak, tampering, timing

DRILLS = {
    "crashes": Runnable(crashes.main, 500, "kills", 12, "processes die in named places; each call is charged once"),
    "gateway": Runnable(
        gateway.main, 10_000, "calls", 4, "failing providers, clients that leave, retries; charged is what they sent"
    ),
    "outages": Runnable(outages.main, 100, "stops", 8, "PostgreSQL killed under load; what was told is in the ledger"),
    "races": Runnable(races.main, 200, "races", 6, "of 1,000 calls at once, exactly those the wallet pays for"),
    "rights": Runnable(
        rights.main, 200, "tries", 3, "revoked, limited or suspended here, refused there within a second"
    ),
    "soak": Runnable(soak.main, 1_000_000, "operations", 20, "random movements by 64 clients, and a replay of them"),
    "tampering": Runnable(tampering.main, 1000, "changes", 3, "a superuser changes the books; verifying finds each"),
    "timing": Runnable(timing.main, 1000, "addresses", 12, "no answer tells by its time whether an address is known"),
}

if __name__ == "__main__":
    sys.exit(run_chosen("drill", DRILLS, sys.argv[1:]))
