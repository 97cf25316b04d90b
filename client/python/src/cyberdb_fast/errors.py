"""The errors of this package.

All but Python's own KeyError, IndexError, TypeError, ... are CyberDBErrors.
"""

from __future__ import annotations


class CyberDBError(RuntimeError):
    """The base of all errors of this package."""


class DisconCyberDBError(CyberDBError, ConnectionError):
    """There is no connection: the proxy is not connected or the server cannot be reached."""


class ServerUnreachable(DisconCyberDBError, ConnectionRefusedError):
    """The client could not connect to the server. The request was not sent."""


class ConnectionRefused(DisconCyberDBError):
    """The server refused the connection, with a reason. The request was not sent."""


class EncryptionMismatch(ConnectionRefused):
    """The server encrypts and the client does not, or vice versa."""


class ConnectionLost(DisconCyberDBError):
    """The connection was lost before the reply: the request may have been applied or not."""


class RequestTimeout(DisconCyberDBError, TimeoutError):
    """The reply did not come in time: the request may or may not have been applied."""


class DeadlineExceeded(RequestTimeout):
    """The request waited in the server for longer than its time limit. Nothing was done."""


class PoolTimeout(CyberDBError, TimeoutError):
    """All connections were busy for pool_timeout. The request was not sent."""


class WrongPasswordCyberDBError(CyberDBError):
    """Client and server have different passwords, or the client has none."""


class WrongInputCyberDBError(CyberDBError):
    """An argument has the wrong type or value. Nothing was sent."""


class WrongFilenameCyberDBError(CyberDBError):
    """The name of a database file does not end in .cdb."""


class BackupCyberDBError(CyberDBError):
    """The server could not save or load a file, or is not running."""


class TypeCyberDBError(CyberDBError):
    """A setting has the wrong type."""


class WrongTableNameCyberDBError(CyberDBError):
    """The base of the errors about a table's name: NoSuchTable, TableExists and WrongTableKind."""


class NoSuchTable(WrongTableNameCyberDBError):
    """The table does not exist."""


class TableExists(WrongTableNameCyberDBError):
    """A table of that name exists already."""


class WrongTableKind(WrongTableNameCyberDBError, TypeError):
    """The table is a list and the request is for a dict, or vice versa."""


class VersionMismatch(CyberDBError):
    """The entry has been written since its version was read. Nothing has changed."""


class LockLost(CyberDBError):
    """The lock is not held any more: its lease has ended, or it was released.

    fence is that of the present owner; 0 if there is none, or if it is not known.
    """

    fence = 0


class LockTimeout(CyberDBError, TimeoutError):
    """The lock did not become free within the time to wait, or a value was not computed."""


class LeaseExpired(CyberDBError):
    """The item is not leased under this receipt: it was acknowledged, or has returned."""


class Canceled(CyberDBError):
    """The request was canceled while it waited. Nothing of it was done."""


class TooLarge(CyberDBError, ValueError):
    """A request or value exceeds the server's limits. Nothing has changed."""


class BadRequest(CyberDBError):
    """The table name is empty or too long, or the server is too old for the request."""


class Overloaded(CyberDBError):
    """The server has no memory or connection for it, or a dict is full. Nothing has changed."""


class NotDurable(CyberDBError):
    """The request could not be written to disk. A change was applied, but a restart may lose it."""


class ReadOnly(CyberDBError):
    """The server can no longer write to its disk: it answers reads and refuses changes."""


class ServerError(CyberDBError):
    """The server has an internal error. The request may have been applied."""


class ProtocolError(CyberDBError):
    """The server does not follow the protocol; it may be another kind of server."""


class UnpackError(CyberDBError):
    """An object of a registered class was read, and could not be made of what is stored.

    The class has other fields now, or its constructor refuses them. parts is what is stored.
    """

    def __init__(self, message: str, parts: object = None) -> None:
        super().__init__(message)
        self.parts = parts


class ReplyTooLarge(CyberDBError):
    """A reply exceeds max_reply_bytes or the memory of this machine. The connection was closed."""


class UnsupportedFramework(CyberDBError, ImportError):
    """A framework is missing, or has a version that the adapter was not tested with."""


class LostChangeWarning(UserWarning):
    """A value that was read from a table was changed and not stored again."""
