"""`make bench`: every benchmark, one after the other."""

import asyncio

from bench import gateway

if __name__ == "__main__":
    asyncio.run(gateway.main())
