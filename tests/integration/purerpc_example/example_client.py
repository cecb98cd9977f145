"""A client as purerpc's users write it."""

import sys

import purerpc
import trio
from greeter_grpc import GreeterStub
from greeter_pb2 import Name
from purerpc import insecure_channel


async def names():
    for name in ("Ada", "Grace", "Barbara"):
        yield Name(name=name)


async def main():
    async with insecure_channel("localhost", int(sys.argv[1])) as channel:
        stub = GreeterStub(channel)
        print((await stub.SayHello(Name(name="World"))).text)
        async for greeting in stub.SayHelloOften(Name(name="World", times=3)):
            print(greeting.text)
        print((await stub.SayHelloToAll(names())).text)
        async for greeting in stub.SayHelloToEach(names()):
            print(greeting.text)
        try:
            await stub.SayHello(Name())
        except purerpc.InvalidArgumentError as error:
            print(error)


trio.run(main)
