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

from .client import Client, connect
from .cyberdict import CyberDict
from .cyberlist import CyberList
from .errors import (
    BackupCyberDBError,
    BadRequest,
    ConnectionLost,
    ConnectionRefused,
    CyberDBError,
    DeadlineExceeded,
    DisconCyberDBError,
    EncryptionMismatch,
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
    VersionMismatch,
    WrongFilenameCyberDBError,
    WrongInputCyberDBError,
    WrongPasswordCyberDBError,
    WrongTableKind,
    WrongTableNameCyberDBError,
)
from .expiry import DictOptions
from .pipeline import DictPipeline, ListPipeline, Pipeline
from .proxy import Proxy
from .requests import ABSENT, Table
from .result import Result
from .server import Server
from .values import Extension, Unopened, register_type

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
    "ListPipeline",
    "LostChangeWarning",
    "NoSuchTable",
    "NotDurable",
    "Overloaded",
    "Pipeline",
    "PoolTimeout",
    "ProtocolError",
    "Proxy",
    "ReadOnly",
    "ReplyTooLarge",
    "RequestTimeout",
    "Result",
    "Server",
    "ServerError",
    "ServerUnreachable",
    "Table",
    "TableExists",
    "TooLarge",
    "TypeCyberDBError",
    "Unopened",
    "VersionMismatch",
    "WrongFilenameCyberDBError",
    "WrongInputCyberDBError",
    "WrongPasswordCyberDBError",
    "WrongTableKind",
    "WrongTableNameCyberDBError",
    "connect",
    "register_type",
]
