"""`ride.v1.RideStreamService`: riders and drivers on live streams."""

from __future__ import annotations

from collections.abc import Callable

import purerpc

from ride_trio.errors import BadRequestError, RideTrioError
from ride_trio.pb.ride.v1.ride_grpc import RideStreamServiceServicer
from ride_trio.rpc.status import error_for
from ride_trio.services.ride_context import GrpcRideCall, RideContext
from ride_trio.services.ride_inbox import NO_ID
from ride_trio.services.ride_stream import RideStream
from ride_trio.sessions import is_valid_id

# Request metadata that says who the user is.
USER_ID_METADATA = "user-id"
# Request metadata that lets its call observe the city.
OPERATOR_METADATA = "operator-token"


class RideStreamService(RideStreamServiceServicer):
    """The servicer; `proto/ride/v1/ride.proto` says what it promises.

    Args:
        context: the parts behind it.
        is_operator: whether a token, or none, lets a call observe the city.
    """

    def __init__(self, context: RideContext, is_operator: Callable[[str | None], bool] = lambda token: False) -> None:
        self.context = context
        self._is_operator = is_operator

    async def Connect(self, call: GrpcRideCall) -> None:
        """Serve one session.

        Raises:
            purerpc.RpcFailedError: the session ended otherwise than by the client's half-close.
        """
        call.undecodable = purerpc.InvalidArgumentError
        user_id = call.header(USER_ID_METADATA) or call.subject or None
        if user_id is not None and not is_valid_id(user_id):
            raise _status(BadRequestError(f"{USER_ID_METADATA}: {NO_ID}"))
        may_observe = self._is_operator(call.header(OPERATOR_METADATA))
        ending = await RideStream(self.context, call, user_id, may_observe=may_observe).run()
        if ending is not None:
            raise _status(ending)


def _status(error: RideTrioError) -> purerpc.RpcFailedError:
    return error_for(int(error.grpc_status), error.detail)
