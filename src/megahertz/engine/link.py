"""The links of a loop: one native poller for all outgoing connections of its clients."""

import asyncio
from weakref import WeakKeyDictionary, ref

from megahertz.engine.native import Links

# The loop holds its links, as the reader's callback; the table only knows where they are.
_known: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[Links]] = WeakKeyDictionary()


def links() -> Links:
    """Those of the running loop, whichever loop that is; watched by it from the first call on."""
    loop = asyncio.get_running_loop()
    known = _known.get(loop)
    found = None if known is None else known()
    if found is None:
        found = Links(loop)
        loop.add_reader(found.fileno(), found.poll)
        _known[loop] = ref(found)
    return found
