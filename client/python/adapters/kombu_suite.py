"""kombu's tests of all transports, on ours. It runs in the directory of kombu's sdist."""

import os

import kombu
import pytest
from t.integration import common

import cyberdb_fast.adapters.kombu  # noqa: F401 # registers cyberdb://
from cyberdb_fast.errors import ServerUnreachable

URL = os.environ["CYBERDB_URL"]
NOWHERE = "cyberdb://:x@localhost:1"


@pytest.fixture
def connection():
    return kombu.Connection(URL)


@pytest.fixture
def invalid_connection():
    return kombu.Connection(NOWHERE)


@pytest.fixture
def failover_connection():
    return kombu.Connection([NOWHERE, URL], connect_timeout=5)


class TestBasicFunctionality(common.BasicFunctionality):
    def test_failed_connection_type(self, invalid_connection):
        with pytest.raises(ServerUnreachable) as raised:
            invalid_connection.connect()
        assert isinstance(raised.value, invalid_connection.connection_errors)


class TestExchangeTypes(common.BaseExchangeTypes):
    def test_fanout(self, connection):
        """As kombu's; but its queues get only what is published while they are consumed."""
        exchange = kombu.Exchange("test_fanout", type="fanout")
        queues = [kombu.Queue(name, exchange=exchange) for name in ("fanout1", "fanout2")]
        got = []
        with connection as conn, conn.channel() as channel:
            consumer = kombu.Consumer(conn, queues, accept=["pickle"])
            consumer.register_callback(self._callback)
            consumer.register_callback(lambda _, message: got.append(message.delivery_tag))
            with consumer:
                self._publish(channel, exchange, queues)
                conn.drain_events(timeout=1)
                conn.drain_events(timeout=1)
        assert len(set(got)) == 2


class Draining(kombu.Connection):
    """kombu's tests of priorities expect that drain_events delivers all messages."""

    def drain_events(self, **kwargs):
        super().drain_events(**kwargs)
        try:
            while True:
                super().drain_events(timeout=0.2)
        except TimeoutError:
            pass


class TestPriority(common.BasePriority):
    PRIORITY_ORDER = "desc"  # as with kombu's transport for Redis

    @pytest.fixture
    def connection(self):
        return Draining(URL)


class TestMessage(common.BaseMessage):
    pass


class TestEventLoop(common.BaseEventLoop):
    pass


class TestFailover(common.BaseFailover):
    pass
