"""Side by side, on one machine, in one run: what a request costs here and elsewhere."""
