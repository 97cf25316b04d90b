"""Requests by hand, odd ones too: python requests.py PORT prints one line per request: the reply, without the password. Against any server that is right the
lines are the same. What the original is silent about is not among them."""

import pickle
import socket
import sys

NAN = float("nan")


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)

    def say(self, message):
        """Sends a message and returns the answer."""
        self.socket.sendall(message if isinstance(message, bytes) else pickle.dumps(message))
        try:
            answer = self.socket.recv(65536)
        except ConnectionResetError:
            answer = b""
        return pickle.loads(answer) if answer else "closed"

    def request(self, fields):
        body = pickle.dumps({**fields, "password": "123456"})
        for message in (-(-len(body) // 4096), body, "ready"):
            answer = self.say(message)
            if answer == "closed":
                return answer
        answer.pop("password", None)
        return answer


DICT = [
    *[("setitem", {"key": k, "value": 1}) for k in (NAN, slice(1, 2), ([],), {}, 5)],
    *[("getitem", {"key": k}) for k in (NAN, slice(1), (1, [2]), frozenset([1]), b"x" * 300, 5.0, None, {1})],
    ("get", {"key": bytearray(b"x"), "default": None}),
    ("get", {"key": 6, "default": [7]}),
    ("delitem", {"key": None}),
    ("pop", {"key": {1}, "default": 3}),
    ("pop", {"key": 5, "default": 3}),
    *[("update", {"dict2": d}) for d in (None, 5.5, [], "", "a", ["ab", "cde"], [1], [None], {1, 2}, [{1, 2}], [{"x": 1, "y": 2}], (("k", "v"),))],
    *[("update", {"dict2": d}) for d in (b"ab", [b"ab"], range(2), ["é😀"], [("l", 1), ([], 2)], {"z": 1})],
    *[(method, {}) for method in ("items", "keys", "values", "popitem", "repr", "str", "len", "todict")],
    ("setdefault", {"key": "s", "default": []}),
    ("setdefault", {"key": "s", "default": 5}),
]

LISTS = [[3, 1, "a"], [None, 1], [{}, {}], [1, 1j], [(1, "a"), (1, 2)], [b"a", "a"], [[1], (1,)], [NAN, 1, 2, NAN, 0], [True, 0, -1.5, 10**30], ["b", "a", "B"], [b"b", b"a"]]
KEYS = ["x[1]", "x['a']", "x[5]", "-x[0]", "len(x[0])", "x[0].lower()", "len(x[1])", "x[1].lower()", "str(x[1])"]
INDEXES = [0, -1, 6, -7, True, False, None, "a", 1.0, 2**70, -(2**70)]
SLICES = [slice(*s) for s in ((None,), (1, 3), (None, None, -2), (0, 10, 0), ("a",), (2**70,), (-(2**70), None), (None, None, 2**70))]
ASSIGNED = [(0, "x"), (9, 1), (slice(1, 2), 5), (slice(1, 2), "ab"), (slice(0, 4, 2), [1]), (slice(0, 4, 2), 5), (slice(0, 4, 2), [8, 9]), (slice(5, 2), ["in"])]
ASSIGNED += [("a", 1), (None, 1), (2**70, 1), (slice(0, 0), {}), (slice(0, 1), {7: 8}), (slice(0, 2, 1), 5), (slice(None, None, -1), [1])]

LIST = [
    *[step for v in LISTS for step in (("clear", {}), ("extend", {"obj": v}), ("sort", {"key": None, "reverse": False}), ("tolist", {}), ("sort", {"key": None, "reverse": True}), ("tolist", {}))],
    *[("sort", {"key": None, "reverse": r}) for r in ("x", None, 1.5, 2, 0, -1, 2**40, [], True)],
    ("clear", {}),
    ("extend", {"obj": [("a", 2), ("b", 1)]}),
    *[step for k in KEYS for step in (("sort", {"key": "func = lambda x: " + k, "reverse": False}), ("tolist", {}))],
    *[("sort", {"key": k, "reverse": False}) for k in ("func = 5", "func = True, key", "func = 'x'", "func = None")],
    *[step for o in ("ab", b"ab", {"k": 1}, {1}, range(3), (1,), 5, None, 1.5, True, "é😀") for step in (("clear", {}), ("extend", {"obj": o}), ("tolist", {}))],
    ("clear", {}),
    ("extend", {"obj": list(range(6))}),
    *[("getitem", {"index": i}) for i in INDEXES + SLICES],
    *[step for i, v in ASSIGNED for step in (("setitem", {"index": i, "value": v}), ("tolist", {}))],
    *[step for i in (0, 99, slice(0, 1), "x", 2**70, slice(None, None, 2)) for step in (("delitem", {"index": i}), ("tolist", {}))],
    *[step for i in INDEXES for step in (("pop", {"index": i}), ("insert", {"index": i, "value": i}), ("tolist", {}))],
    *[(method, {"value": v}) for v in (1, 1.0, True, [1], "x", None, NAN, (), {}) for method in ("count", "index", "remove")],
]

OTHER = [
    {"route": "/cyberdict/getitem", "table_name": "none", "key": 1},
    {"route": "/cyberlist/sort", "table_name": "none", "key": None, "reverse": False},
    {"route": "/delete_table", "table_name": "none"},
    {"route": "/exam_cyberdict", "table_name": "none"},
    {"route": "/exam_cyberlist", "table_name": "d"},
    {"route": "/print_tables"},
    {"route": "/cyberlist/sort", "table_name": "d", "key": None, "reverse": False},
    {"route": "/cyberdict/clear", "table_name": "l"},
    {"route": "/cyberdict/popitem", "table_name": "l"},
    {"route": "/cyberlist/clear", "table_name": "d"},
    {"route": "/cyberdict/popitem", "table_name": "d"},
    {"route": "/create_cyberlist", "table_name": "d", "content": []},
    {"route": "/connect", "more": 1},
]


def main(port):
    for blocks in (True, 0, -1, 1.0, "1", None, [1]):
        client = Client(port)
        print(f"announced {blocks!r}:", client.say(blocks), end=" ")
        try:
            print(client.say({"route": "/connect", "password": "123456"}))
        except OSError:
            print("closed")
    requests = [{"route": "/create_cyberdict", "table_name": "d", "content": {}}, {"route": "/create_cyberlist", "table_name": "l", "content": []}]
    requests += [{"route": "/cyberdict/" + method, "table_name": "d", **fields} for method, fields in DICT]
    requests += [{"route": "/cyberlist/" + method, "table_name": "l", **fields} for method, fields in LIST]
    for fields in requests + OTHER:
        print(fields, "->", Client(port).request(fields))


if __name__ == "__main__":
    main(int(sys.argv[1]))
