"""The opcodes of codec/PROTOCOL.md. Made by `make generate`: do not change it here."""

from __future__ import annotations

PING = 0x01
INFO = 0x02
SAVE = 0x03
CREATE_DICT = 0x10
CREATE_LIST = 0x11
EXISTS = 0x12
KIND = 0x13
TABLES = 0x14
DROP = 0x15
RENAME = 0x16
DICT_GET = 0x20
DICT_SET = 0x21
DICT_DELETE = 0x22
DICT_CONTAINS = 0x23
DICT_LEN = 0x24
DICT_SETDEFAULT = 0x25
DICT_UPDATE = 0x26
DICT_POP = 0x27
DICT_POPITEM = 0x28
DICT_CLEAR = 0x29
DICT_KEYS = 0x2A
DICT_VALUES = 0x2B
DICT_ITEMS = 0x2C
DICT_GET_MANY = 0x2D
DICT_INCREMENT = 0x2E
DICT_COMPARE_AND_SET = 0x2F
DICT_SCAN = 0x30
LIST_APPEND = 0x40
LIST_EXTEND = 0x41
LIST_INSERT = 0x42
LIST_GET = 0x43
LIST_SET = 0x44
LIST_DELETE = 0x45
LIST_SLICE = 0x46
LIST_SET_SLICE = 0x47
LIST_DELETE_SLICE = 0x48
LIST_POP = 0x49
LIST_REMOVE = 0x4A
LIST_COUNT = 0x4B
LIST_INDEX = 0x4C
LIST_REVERSE = 0x4D
LIST_SORT = 0x4E
LIST_CLEAR = 0x4F
LIST_LEN = 0x50
LIST_CONTAINS = 0x51
LIST_ALL = 0x52
LIST_APPEND_LEFT = 0x53
LIST_POP_LEFT = 0x54

OPCODE_NAMES = {code: name.replace("_", " ") for name, code in list(globals().items()) if name.isupper() and isinstance(code, int)}

# Requests that change no table: they may be sent again when a connection was lost.
READS = frozenset(
    {
        PING,
        INFO,
        SAVE,
        EXISTS,
        KIND,
        TABLES,
        DICT_GET,
        DICT_CONTAINS,
        DICT_LEN,
        DICT_KEYS,
        DICT_VALUES,
        DICT_ITEMS,
        DICT_GET_MANY,
        DICT_SCAN,
        LIST_GET,
        LIST_SLICE,
        LIST_COUNT,
        LIST_INDEX,
        LIST_LEN,
        LIST_CONTAINS,
        LIST_ALL,
    }
)

# Requests about one key of a dict.
ON_KEY = frozenset(
    {
        DICT_GET,
        DICT_SET,
        DICT_DELETE,
        DICT_CONTAINS,
        DICT_SETDEFAULT,
        DICT_POP,
        DICT_INCREMENT,
        DICT_COMPARE_AND_SET,
    }
)
