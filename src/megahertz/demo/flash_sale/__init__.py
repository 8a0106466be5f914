"""One shop, four times: from an ordinary service to a governed one, on the same database.

Each module is an application for `mhz run`; FLASH_SALE names the folder with its `shop.db`.
"""

__all__: list[str] = []
