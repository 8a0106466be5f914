"""Commands by what they are about, as mixins over one call."""

from megahertz.backends.redis.commands.every import Commands
from megahertz.backends.redis.commands.free import Free
from megahertz.backends.redis.commands.scripts import Script
from megahertz.backends.redis.commands.words import Command, Convert, Words

__all__ = ["Command", "Commands", "Convert", "Free", "Script", "Words"]
