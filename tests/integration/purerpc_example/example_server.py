"""A service as purerpc's users write it."""

import sys

import purerpc
from greeter_grpc import GreeterServicer
from greeter_pb2 import Greeting
from purerpc import Server


class Greeter(GreeterServicer):
    async def SayHello(self, message):
        if not message.name:
            raise purerpc.InvalidArgumentError("who?")
        return Greeting(text=f"Hello, {message.name}")

    async def SayHelloOften(self, message, request):
        for number in range(message.times):
            yield Greeting(text=f"{request.service_name} {number}: {message.name}")

    async def SayHelloToAll(self, messages):
        names = [message.name async for message in messages]
        return Greeting(text="Hello, " + ", ".join(names))

    async def SayHelloToEach(self, messages):
        async for message in messages:
            yield Greeting(text=f"Hello, {message.name}")


if __name__ == "__main__":
    server = Server(int(sys.argv[1]))
    server.add_service(Greeter().service)
    server.serve(backend="trio")
