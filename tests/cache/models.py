"""What caches have to do, written down in another way than they do it: slow, and line by line."""


class Figure4:
    """ARC(c) of Megiddo and Modha, FAST 2003, figure 4; a list's first page is its LRU page."""

    def __init__(self, c):
        self.c, self.p = c, 0
        self.T1, self.B1, self.T2, self.B2 = [], [], [], []

    def request(self, x):
        """Whether it was a hit."""
        c = self.c
        # Case I: x is in T1 or T2.
        if x in self.T1 or x in self.T2:
            (self.T1 if x in self.T1 else self.T2).remove(x)
            self.T2.append(x)
            return True
        # Case II: x is in B1.
        if x in self.B1:
            delta = 1 if len(self.B1) >= len(self.B2) else len(self.B2) / len(self.B1)
            self.p = min(self.p + delta, c)
            self.replace(x)
            self.B1.remove(x)
            self.T2.append(x)
            return False
        # Case III: x is in B2.
        if x in self.B2:
            delta = 1 if len(self.B2) >= len(self.B1) else len(self.B1) / len(self.B2)
            self.p = max(self.p - delta, 0)
            self.replace(x)
            self.B2.remove(x)
            self.T2.append(x)
            return False
        # Case IV: x is in none of the four.
        if len(self.T1) + len(self.B1) == c:  # Case A
            if len(self.T1) < c:
                del self.B1[0]
                self.replace(x)
            else:
                del self.T1[0]
        else:  # Case B
            known = len(self.T1) + len(self.T2) + len(self.B1) + len(self.B2)
            if known >= c:
                if known == 2 * c:
                    del self.B2[0]
                self.replace(x)
        self.T1.append(x)
        return False

    def replace(self, x):
        """Subroutine REPLACE(x, p)."""
        if self.T1 and (len(self.T1) > self.p or (x in self.B2 and len(self.T1) == self.p)):
            self.B1.append(self.T1.pop(0))
        else:
            self.B2.append(self.T2.pop(0))


class Recent:
    """A list of [key, value, end, weight], the one used longest ago first."""

    def __init__(self, capacity):
        self.capacity, self.rows = capacity, []
        self.hits = self.misses = self.evictions = self.expirations = 0

    def find(self, key):
        return next((row for row in self.rows if row[0] == key), None)

    def get(self, key, now):
        row = self.find(key)
        if row is None or row[2] <= now:
            self.misses += 1
            if row is not None:
                self.expirations += 1
                self.rows.remove(row)
            return None
        self.rows.remove(row)
        self.rows.append(row)
        self.hits += 1
        return row[1]

    def set(self, key, value, end, weight, now):
        self.rows = [row for row in self.rows if row[0] != key]
        if weight > self.capacity:
            self.evictions += 1
            return
        while sum(row[3] for row in self.rows) + weight > self.capacity:
            gone = self.rows.pop(0)
            if gone[2] <= now:
                self.expirations += 1
            else:
                self.evictions += 1
        self.rows.append([key, value, end, weight])

    def delete(self, key, now):
        row = self.find(key)
        self.rows = [one for one in self.rows if one is not row]
        return row is not None and row[2] > now

    def expire(self, now):
        over = [row for row in self.rows if row[2] <= now]
        self.rows = [row for row in self.rows if row not in over]
        self.expirations += len(over)
        return len(over)
