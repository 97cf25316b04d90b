"""Objects of a program's own classes: python own.py PORT prints what comes back, or that they are refused."""

import sys

import cyberdb
from things import Colour, Point

proxy = cyberdb.connect(host="127.0.0.1", port=int(sys.argv[1]), password="123456").get_proxy()
proxy.connect()
proxy.create_cyberdict("own")
own = proxy.get_cyberdict("own")
try:
    own["point"] = Point(1, 2)
    own["more"] = [Point(3, 4)]
    own["colour"] = Colour.RED
    own[Point(5, 6)] = "key"
    print(own["point"], own["colour"], own["more"], own[Point(5, 6)])
except TypeError as e:
    print("refused TypeError", str(e)[:35])
