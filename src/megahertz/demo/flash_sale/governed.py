"""The same shop with its limits said: how long, how many, how much.

mhz run megahertz.demo.flash_sale.governed:app
"""

from megahertz.demo.flash_sale.database import folder
from megahertz.demo.flash_sale.native import shop
from megahertz.govern import GCRA, Policy

app = shop(
    folder(),
    policy=Policy(
        deadline=1.0,  # a buyer who waited longer has gone
        limit=GCRA(100_000, per=1, burst=10_000),  # twice what one core can serve
        concurrency=2_000,  # orders between reservation and disk; 503 above
    ),
    capacity=32_768,  # acknowledged and not yet in the database; 503 above
    spacing=0.004,  # of syncs in a crowd: twice as many orders share one
)
