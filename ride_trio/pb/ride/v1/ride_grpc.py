import purerpc
from ride_trio.pb.ride.v1 import ride_pb2 as ride_dot_v1_dot_ride__pb2


class RideStreamServiceServicer(purerpc.Servicer):
    async def Connect(self, input_messages):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "ride.v1.RideStreamService"
        )
        service_obj.add_method(
            "Connect",
            self.Connect,
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_STREAM,
                ride_dot_v1_dot_ride__pb2.ClientEnvelope,
                ride_dot_v1_dot_ride__pb2.ServerEnvelope,
            )
        )
        return service_obj


class RideStreamServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "ride.v1.RideStreamService",
            channel
        )
        self.Connect = self._client.get_method_stub(
            "Connect",
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_STREAM,
                ride_dot_v1_dot_ride__pb2.ClientEnvelope,
                ride_dot_v1_dot_ride__pb2.ServerEnvelope,
            )
        )
