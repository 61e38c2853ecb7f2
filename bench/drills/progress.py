"""How far a long drill has come: about twenty lines each."""

LINES = 20


def progress(done: int, of: int, unit: str) -> None:
    if done % max(1, of // LINES) == 0:
        print(f"   {done:,} of {of:,} {unit}", flush=True)
