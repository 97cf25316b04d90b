"""Values of 1 MB and 3 MB, written and read on fresh connections: python large.py PORT plain|encrypted TIMES."""

import sys

import cyberdb

port, mode, times = sys.argv[1:]
for n in range(int(times)):
    for size in (100_000, 1_000_000, 3_000_000):
        client = cyberdb.connect(host="127.0.0.1", port=int(port), password="123456", encrypt=mode == "encrypted")
        proxy = client.get_proxy()
        proxy.connect()
        if n == 0 and size == 100_000:
            proxy.create_cyberdict("large")
        value = str(n) * size
        proxy.get_cyberdict("large")[size] = value
        fresh = cyberdb.connect(host="127.0.0.1", port=int(port), password="123456", encrypt=mode == "encrypted").get_proxy()
        fresh.connect()
        if fresh.get_cyberdict("large")[size] != value:
            sys.exit(f"{size} bytes came back as others")
print("all there")
