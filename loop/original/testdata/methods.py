"""Every method of CyberDict and CyberList, by the original package: python methods.py PORT PASSWORD plain|encrypted prints one line per statement: what it
returns, or what it raises. Against any server that is right the lines are the same."""

import datetime
import decimal
import fractions
import collections
import sys
import uuid

import cyberdb

DICT = """
len(d)
d['a'] = 1
d['b'] = [1, {'x': (2, 3)}]
d[1] = 'int'
d[1.0] = 'float is the same key'
d[(1, 'x')] = {1, 2}
d[None] = None
d['中文'] = '你好'
d[b'bytes'] = bytearray(b'ab')
d['big'] = 2 ** 200
d['neg'] = -(2 ** 70)
d['date'] = datetime.date(2022, 4, 15)
d['datetime'] = datetime.datetime(2022, 4, 15, 1, 2, 3, 4, tzinfo=datetime.timezone(datetime.timedelta(hours=8), 'CST'))
d['time'] = datetime.time(1, 2, fold=1)
d['delta'] = datetime.timedelta(-1, 5, 6)
d['decimal'] = decimal.Decimal('1.10')
d['fraction'] = fractions.Fraction(-1, 3)
d['uuid'] = uuid.UUID(int=2 ** 127 + 5)
d['complex'] = 1 - 2j
d['range'] = range(1, 10, 3)
d['ordered'] = collections.OrderedDict(b=1, a=2)
d['default'] = collections.defaultdict(list, a=[1])
d['deque'] = collections.deque([1, 2], 5)
d['counter'] = collections.Counter('aab')
d['error'] = ValueError('boom', 3)
[d[k] for k in ('a', 'b', 1, (1, 'x'), '中文', b'bytes', 'big', 'neg', 'date', 'datetime', 'time', 'delta', 'decimal')]
[d[k] for k in ('fraction', 'uuid', 'complex', 'range', 'ordered', 'default', 'deque', 'counter')]
d['error'].args
d['datetime'].tzname()
d['nothing']
d[[1]]
d[{}] = 1
d[None]
d.get('a')
d.get('nothing')
d.get('nothing', 'default')
d.get([])
d.setdefault('a', 5)
d.setdefault('new', 5)
d.setdefault([], 5)
d.update({'a': 2, 'z': 26})
d.update([('p', 1), ['q', 2], 'rs'])
d.update([('good', 1), 5])
d.update([('good2', 1), (1, 2, 3)])
d.update([('good3', 1), ([], 2)])
d.update(5)
d.update('ab')
d['good'], d['good2'], d['good3'], d['r']
len(d)
list(d.keys())
d.values()
d.items()
repr(d)
str(d)
d.todict()
sorted(map(str, d))
'a' in d
'nothing' in d
d.pop('a')
d.pop('a')
d.pop('a', 'gone')
d.pop([])
d.popitem()
del d['b']
del d['b']
del d[[]]
d[float('nan')] = 1
d[float('nan')]
len(d)
d.clear()
d.items()
d.popitem()
repr(d)
d[0] = ''
d[0]
d[0] = False
d.values()
d[0] = 0.0
d.todict()
"""

LIST = """
len(l)
l.append(1)
l.append(None)
l.append([1, 'x'])
l.extend([3, 2, 1])
l.extend((True, 1.5))
l.extend('ab')
l.extend({'k': 1})
l.extend(range(3))
l.extend(5)
l.extend(None)
len(l)
l.tolist()
l[0], l[-1], l[True]
l[100]
l['x']
l[2 ** 70]
l[1:3]
l[::-1]
l[::-2]
l[5:2]
l[-3:]
l[::0]
l['a':]
l[0] = 'zero'
l[100] = 1
l['x'] = 1
l[1:3] = ['one', 'two', 'more']
l[1:2] = 5
l[::2] = [0]
l[::2] = 7
l[::4] = 'abcd'
l.tolist()
del l[0]
del l[100]
del l[1:3]
del l[::5]
l.tolist()
l.insert(0, 'first')
l.insert(-1, 'before last')
l.insert(1000, 'last')
l.insert('x', 1)
l.insert(2 ** 70, 1)
l.pop()
l.pop(0)
l.pop(-1)
l.pop(100)
l.pop('x')
l.tolist()
l.remove('two')
l.remove(None)
l.remove('not there')
l.count(1)
l.count('not there')
l.count(1.0)
l.index(1)
l.index('not there')
l.index(True)
l.reverse()
l.tolist()
repr(l)
str(l)
[x for x in l]
list(reversed(l))
1 in l
'not there' in l
l.sort()
l.clear()
l.pop()
l[0]
l.extend([3, -1, 2.5, True, 0])
l.sort()
l.tolist()
l.sort(reverse=True)
l.tolist()
l[:] = [('b', 2), ('a', 2), ('c', 1)]
l.sort(key=SECOND)
l.tolist()
l.sort(key=SECOND, reverse=True)
l.tolist()
l.sort(key=NEGATIVE)
l.tolist()
l.sort(key=by_both)
l.tolist()
l.sort(key=NINTH)
l.tolist()
l[:] = ['bb', 'A', 'ccc']
l.sort()
l.tolist()
l.sort(key=LAST)
l.tolist()
l.append(5)
l.sort()
l.tolist()
repr(l)
"""

TABLES = """
proxy.create_cyberdict('d')
proxy.create_cyberlist('other', [1, 2])
proxy.create_cyberdict(5)
proxy.create_cyberdict('x', [])
proxy.get_cyberdict('nothing')
proxy.get_cyberlist('nothing')
proxy.delete_table('nothing')
proxy.print_tables()
proxy.delete_table('other')
proxy.get_cyberlist('other')
proxy.create_cyberlist('other', ['again'])
proxy.get_cyberlist('other').tolist()
wrong = proxy.get_cyberdict('other')
wrong[0]
wrong.keys()
wrong.pop(0)
wrong.todict()
len(wrong)
wrong = proxy.get_cyberlist('d')
wrong[0]
wrong.append(1)
wrong.pop(5)
wrong.sort()
wrong.tolist()
proxy.print_tables()
"""

SECOND = lambda x: x[1]
NEGATIVE = lambda x: -x[1]
NINTH = lambda x: x[9]
LAST = lambda x: x[-1]


def by_both(item):
    name, number = item
    return number, name


def run(statements, names, proxy):
    for text in statements.strip().splitlines():
        try:
            try:
                result = repr(eval(text, names))
            except SyntaxError:
                exec(text, names)
                result = "done"
        except Exception as e:
            result = f"raises {e!r}"
            proxy.connect()
        print(text, "->", result, flush=True)


def main(port, password, mode):
    client = cyberdb.connect(host="127.0.0.1", port=int(port), password=password, encrypt=mode == "encrypted")
    proxy = client.get_proxy()
    proxy.connect()
    proxy.create_cyberdict("d")
    proxy.create_cyberlist("l")
    names = dict(globals(), proxy=proxy, d=proxy.get_cyberdict("d"), l=proxy.get_cyberlist("l"))
    for statements in (DICT, LIST, TABLES):
        run(statements, names, proxy)


if __name__ == "__main__":
    main(*sys.argv[1:])
