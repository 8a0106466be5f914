"""All commands, as clients and pipelines have them."""

from megahertz.backends.redis.commands.acl import Acl
from megahertz.backends.redis.commands.bits import BitFields
from megahertz.backends.redis.commands.geo import Geo
from megahertz.backends.redis.commands.hashes import Hashes
from megahertz.backends.redis.commands.keys import Keyspace
from megahertz.backends.redis.commands.lists import Lists
from megahertz.backends.redis.commands.scripts import Scripts
from megahertz.backends.redis.commands.server import Server
from megahertz.backends.redis.commands.sets import Sets
from megahertz.backends.redis.commands.sorted_sets import SortedSets
from megahertz.backends.redis.commands.streams import Streams
from megahertz.backends.redis.commands.strings import Strings
from megahertz.backends.redis.commands.unions import Unions


class Commands(
    Strings,
    BitFields,
    Hashes,
    Lists,
    Sets,
    SortedSets,
    Unions,
    Geo,
    Streams,
    Scripts,
    Keyspace,
    Server,
    Acl,
):
    """Of strings, hashes, lists, sets, sorted sets, places, streams, scripts, keys and servers."""
