"""A CyberDB client and a native one, on the same tables: python together.py PORT TIMES. It appends to the list "shared", and waits for what the
native client has written into the dict "meeting"."""

import sys
import time

import cyberdb

port, times = int(sys.argv[1]), int(sys.argv[2])
proxy = cyberdb.connect(host="127.0.0.1", port=port, password="123456").get_proxy()
proxy.connect()
shared, meeting = proxy.get_cyberlist("shared"), proxy.get_cyberdict("meeting")
for n in range(times):
    shared.append(("python", n))
    meeting["python"] = {"n": n, "when": (1, 2.5, None)}
end = time.monotonic() + 20
while meeting.get("go") != {"n": times - 1}:
    if time.monotonic() > end:
        sys.exit("the native client's value was not seen")
print(sum(1 for who, n in shared.tolist() if who == "python"), meeting["go"])
