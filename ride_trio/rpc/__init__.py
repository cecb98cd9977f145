"""The gRPC engine on trio: a server that carries purerpc services, and a channel for purerpc stubs."""

from ride_trio.rpc.balancing import ConsistentHash, PickFirst, RoundRobin
from ride_trio.rpc.call import Call
from ride_trio.rpc.channel import Channel, insecure_channel, secure_channel
from ride_trio.rpc.client_call import ClientCall
from ride_trio.rpc.keepalive import Keepalive
from ride_trio.rpc.listening import Listener, SocketOptions
from ride_trio.rpc.retries import RetryPolicy
from ride_trio.rpc.server import Server, ServerStatistics
from ride_trio.rpc.subchannel import Backoff, Connectivity
from ride_trio.rpc.tls import PeerIdentity, TlsFiles
from ride_trio.wire import Limits

__all__ = [
    "Backoff",
    "Call",
    "Channel",
    "ClientCall",
    "Connectivity",
    "ConsistentHash",
    "Keepalive",
    "Limits",
    "Listener",
    "PeerIdentity",
    "PickFirst",
    "RetryPolicy",
    "RoundRobin",
    "Server",
    "ServerStatistics",
    "SocketOptions",
    "TlsFiles",
    "insecure_channel",
    "secure_channel",
]
