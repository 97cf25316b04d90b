"""What can go wrong. Everything that is not Python's own KeyError, IndexError, TypeError, ... is a CyberDBError."""

from __future__ import annotations


class CyberDBError(RuntimeError):
    """The base of all errors of this package."""


class DisconCyberDBError(CyberDBError, ConnectionError):
    """There is no connection: the proxy is not connected, the server cannot be reached, or it has gone."""


class ServerUnreachable(DisconCyberDBError, ConnectionRefusedError):
    """No connection could be opened. The request was not sent."""


class ConnectionRefused(DisconCyberDBError):
    """The server ended the connection while it was being opened, and said why. The request was not sent."""


class EncryptionMismatch(ConnectionRefused):
    """The server encrypts and the client does not, or the other way round."""


class ConnectionLost(DisconCyberDBError):
    """The connection ended before the reply came: the request may or may not have been applied."""


class RequestTimeout(DisconCyberDBError, TimeoutError):
    """The reply did not come in time: the request may or may not have been applied."""


class PoolTimeout(CyberDBError, TimeoutError):
    """All connections were busy for the whole time that a request may wait for one. The request was not sent."""


class WrongPasswordCyberDBError(CyberDBError):
    """Client and server do not know the same password, or the client was given none."""


class WrongInputCyberDBError(CyberDBError):
    """An argument is not of the type that is due. Nothing was sent."""


class WrongFilenameCyberDBError(CyberDBError):
    """The name of a database file does not end in .cdb."""


class BackupCyberDBError(CyberDBError):
    """The server could not save or load a file, or is not running."""


class TypeCyberDBError(CyberDBError):
    """A setting has the wrong type."""


class WrongTableNameCyberDBError(CyberDBError):
    """A table's name does not fit. The three errors below say how."""


class NoSuchTable(WrongTableNameCyberDBError):
    """No table has the name."""


class TableExists(WrongTableNameCyberDBError):
    """A table of the name is there already."""


class WrongTableKind(WrongTableNameCyberDBError, TypeError):
    """The table is a list and the request is for a dict, or the other way round."""


class VersionMismatch(CyberDBError):
    """The entry is not the one that was read: somebody wrote it in between. Nothing was done."""


class TooLarge(CyberDBError, ValueError):
    """A request or value is beyond the server's limits. Nothing was done."""


class BadRequest(CyberDBError):
    """The server does not take the request as it is: an older server, or a table's name that is empty or too long."""


class Overloaded(CyberDBError):
    """The server has no room for the request or for the connection. Nothing was done."""


class NotDurable(CyberDBError):
    """What was asked for could not be written to disk. A change is made all the same, and seen until the server restarts, perhaps longer."""


class ReadOnly(CyberDBError):
    """The server's disk has failed: it answers reads, and takes no changes. Nothing was done."""


class ServerError(CyberDBError):
    """The server met a defect of its own. The request may have been applied."""


class ProtocolError(CyberDBError):
    """What answers does not speak the protocol."""


class ReplyTooLarge(CyberDBError):
    """A reply has more bytes than the client takes (max_reply_bytes), or than there is room for. The connection was closed."""


class LostChangeWarning(UserWarning):
    """A value that was read from a table was changed and dropped: the table does not have the change."""
