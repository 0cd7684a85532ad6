"""The schema revisions of earlier releases, by which a database that is newer than this program is told."""

from __future__ import annotations

KNOWN = frozenset(
    {
        # before 2024.06
        "ff0417f4318f", "3f6994568962", "c5696b48442d", "2335c80a6bc3", "a4accda8a8c7", "049fed905da7", "c162ac88012a",
        "25fd6c7bcb4a", "9400a032eb1a", "27ae2f102682", "dc8c25cf5b98", "423155f8fc15", "73e56bad5ec5", "49d77a93118e",
        "3b281286c7bd", "c9a0b4e653cf", "9c28df23f77e", "5aeb5811408e", "cd79ed46d9c2", "546b04c886f0", "fc099bd15cbe",
        "3b7eee912b41", "f1393877871d", "f4f0f89e0047", "8f9ea78776f4", "7ac252f2bbbf",
        "6b8f5e8caaa9",
        # 2024.06
        "0ba45693748d",
        # anonymous aliases, invisible fetching, lower-case addresses, one register of addresses
        "933f71e6150f", "abcd1234abcd", "fdff7f84d363", "9a5866105f5a", "d4a6f2b8c901",
    }
)  # fmt: skip
