"""A client of cyberdb-fast, the in-memory database whose tables are Python dicts and Python lists.

    import cyberdb_fast as cyberdb

    client = cyberdb.connect(host="127.0.0.1", port=9980, password="...")
    with client.get_proxy() as proxy:
        visits = proxy.create_cyberdict("visits", exist_ok=True)
        visits["home"] = 1
        visits.increment("home")

The names are those of CyberDB, so a program that uses CyberDB only changes its import line.
cyberdb_fast.aio is the same API for asyncio.
"""

from .cached import cached
from .client import Client, connect
from .cyberdict import CyberDict
from .cyberlist import CyberList
from .dict_requests import Versioned
from .errors import (
    BackupCyberDBError,
    BadRequest,
    ConnectionLost,
    ConnectionRefused,
    CyberDBError,
    DeadlineExceeded,
    DisconCyberDBError,
    EncryptionMismatch,
    LeaseExpired,
    LockLost,
    LockTimeout,
    LostChangeWarning,
    NoSuchTable,
    NotDurable,
    Overloaded,
    PoolTimeout,
    ProtocolError,
    ReadOnly,
    ReplyTooLarge,
    RequestTimeout,
    ServerError,
    ServerUnreachable,
    TableExists,
    TooLarge,
    TypeCyberDBError,
    UnpackError,
    UnsupportedFramework,
    VersionMismatch,
    WrongFilenameCyberDBError,
    WrongInputCyberDBError,
    WrongPasswordCyberDBError,
    WrongTableKind,
    WrongTableNameCyberDBError,
)
from .expiry import DictOptions, ListOptions
from .list_requests import QueueItem
from .lock import Lock
from .lock_requests import Message
from .pipeline import DictPipeline, ListPipeline, Pipeline
from .proxy import Proxy
from .replies import ABSENT
from .requests import Table
from .result import Result
from .server import Server
from .subscription import Subscription
from .values import Extension, Unopened, register, register_type, register_where

__version__ = "0.1.0"

__all__ = [
    "ABSENT",
    "BackupCyberDBError",
    "BadRequest",
    "Client",
    "ConnectionLost",
    "ConnectionRefused",
    "CyberDBError",
    "CyberDict",
    "CyberList",
    "DeadlineExceeded",
    "DictOptions",
    "DictPipeline",
    "DisconCyberDBError",
    "EncryptionMismatch",
    "Extension",
    "LeaseExpired",
    "ListOptions",
    "ListPipeline",
    "Lock",
    "LockLost",
    "LockTimeout",
    "LostChangeWarning",
    "Message",
    "NoSuchTable",
    "NotDurable",
    "Overloaded",
    "Pipeline",
    "PoolTimeout",
    "ProtocolError",
    "Proxy",
    "QueueItem",
    "ReadOnly",
    "ReplyTooLarge",
    "RequestTimeout",
    "Result",
    "Server",
    "ServerError",
    "ServerUnreachable",
    "Subscription",
    "Table",
    "TableExists",
    "TooLarge",
    "TypeCyberDBError",
    "Unopened",
    "UnpackError",
    "UnsupportedFramework",
    "VersionMismatch",
    "Versioned",
    "WrongFilenameCyberDBError",
    "WrongInputCyberDBError",
    "WrongPasswordCyberDBError",
    "WrongTableKind",
    "WrongTableNameCyberDBError",
    "cached",
    "connect",
    "register",
    "register_type",
    "register_where",
]
