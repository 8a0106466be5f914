"""All commands, as clients and pipelines have them."""

from megahertz.backends.redis.commands.keys import Keyspace
from megahertz.backends.redis.commands.server import Server
from megahertz.backends.redis.commands.strings import Strings


class Commands(Strings, Keyspace, Server):
    """Of strings, hashes, lists, sets, sorted sets, streams, scripts, keys and servers."""
