from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClientEnvelope(_message.Message):
    __slots__ = ("message_id", "heartbeat", "location_update", "ride_status_update", "hello", "observe")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    LOCATION_UPDATE_FIELD_NUMBER: _ClassVar[int]
    RIDE_STATUS_UPDATE_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    heartbeat: Heartbeat
    location_update: LocationUpdate
    ride_status_update: RideStatusUpdate
    hello: Hello
    observe: Observe
    def __init__(self, message_id: _Optional[str] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., location_update: _Optional[_Union[LocationUpdate, _Mapping]] = ..., ride_status_update: _Optional[_Union[RideStatusUpdate, _Mapping]] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., observe: _Optional[_Union[Observe, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("user_id", "seq", "sent_at_unix_millis")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    seq: int
    sent_at_unix_millis: int
    def __init__(self, user_id: _Optional[str] = ..., seq: _Optional[int] = ..., sent_at_unix_millis: _Optional[int] = ...) -> None: ...

class LocationUpdate(_message.Message):
    __slots__ = ("user_id", "latitude", "longitude", "bearing", "speed_mps", "sequence", "sent_at_unix_millis")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LATITUDE_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    BEARING_FIELD_NUMBER: _ClassVar[int]
    SPEED_MPS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    latitude: float
    longitude: float
    bearing: float
    speed_mps: float
    sequence: int
    sent_at_unix_millis: int
    def __init__(self, user_id: _Optional[str] = ..., latitude: _Optional[float] = ..., longitude: _Optional[float] = ..., bearing: _Optional[float] = ..., speed_mps: _Optional[float] = ..., sequence: _Optional[int] = ..., sent_at_unix_millis: _Optional[int] = ...) -> None: ...

class RideStatusUpdate(_message.Message):
    __slots__ = ("ride_id", "user_id", "status", "sent_at_unix_millis")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[RideStatusUpdate.Status]
        STATUS_LOOKING: _ClassVar[RideStatusUpdate.Status]
        STATUS_AVAILABLE: _ClassVar[RideStatusUpdate.Status]
        STATUS_OFFLINE: _ClassVar[RideStatusUpdate.Status]
        STATUS_EN_ROUTE_TO_PICKUP: _ClassVar[RideStatusUpdate.Status]
        STATUS_AT_PICKUP: _ClassVar[RideStatusUpdate.Status]
        STATUS_ON_TRIP: _ClassVar[RideStatusUpdate.Status]
        STATUS_CANCELLED: _ClassVar[RideStatusUpdate.Status]
    STATUS_UNSPECIFIED: RideStatusUpdate.Status
    STATUS_LOOKING: RideStatusUpdate.Status
    STATUS_AVAILABLE: RideStatusUpdate.Status
    STATUS_OFFLINE: RideStatusUpdate.Status
    STATUS_EN_ROUTE_TO_PICKUP: RideStatusUpdate.Status
    STATUS_AT_PICKUP: RideStatusUpdate.Status
    STATUS_ON_TRIP: RideStatusUpdate.Status
    STATUS_CANCELLED: RideStatusUpdate.Status
    RIDE_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_UNIX_MILLIS_FIELD_NUMBER: _ClassVar[int]
    ride_id: str
    user_id: str
    status: RideStatusUpdate.Status
    sent_at_unix_millis: int
    def __init__(self, ride_id: _Optional[str] = ..., user_id: _Optional[str] = ..., status: _Optional[_Union[RideStatusUpdate.Status, str]] = ..., sent_at_unix_millis: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("role", "vehicle_plate")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[Hello.Role]
        ROLE_RIDER: _ClassVar[Hello.Role]
        ROLE_DRIVER: _ClassVar[Hello.Role]
    ROLE_UNSPECIFIED: Hello.Role
    ROLE_RIDER: Hello.Role
    ROLE_DRIVER: Hello.Role
    ROLE_FIELD_NUMBER: _ClassVar[int]
    VEHICLE_PLATE_FIELD_NUMBER: _ClassVar[int]
    role: Hello.Role
    vehicle_plate: str
    def __init__(self, role: _Optional[_Union[Hello.Role, str]] = ..., vehicle_plate: _Optional[str] = ...) -> None: ...

class Observe(_message.Message):
    __slots__ = ("view", "max_rate_hz")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    MAX_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    view: View
    max_rate_hz: float
    def __init__(self, view: _Optional[_Union[View, _Mapping]] = ..., max_rate_hz: _Optional[float] = ...) -> None: ...

class View(_message.Message):
    __slots__ = ("south", "west", "north", "east")
    SOUTH_FIELD_NUMBER: _ClassVar[int]
    WEST_FIELD_NUMBER: _ClassVar[int]
    NORTH_FIELD_NUMBER: _ClassVar[int]
    EAST_FIELD_NUMBER: _ClassVar[int]
    south: float
    west: float
    north: float
    east: float
    def __init__(self, south: _Optional[float] = ..., west: _Optional[float] = ..., north: _Optional[float] = ..., east: _Optional[float] = ...) -> None: ...

class ServerEnvelope(_message.Message):
    __slots__ = ("correlation_id", "lamport_time", "ack", "match_event", "broadcast_event", "welcome", "error", "disconnect", "city_view")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    LAMPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    MATCH_EVENT_FIELD_NUMBER: _ClassVar[int]
    BROADCAST_EVENT_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    CITY_VIEW_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    lamport_time: int
    ack: Ack
    match_event: MatchEvent
    broadcast_event: BroadcastEvent
    welcome: Welcome
    error: Error
    disconnect: Disconnect
    city_view: CityView
    def __init__(self, correlation_id: _Optional[str] = ..., lamport_time: _Optional[int] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., match_event: _Optional[_Union[MatchEvent, _Mapping]] = ..., broadcast_event: _Optional[_Union[BroadcastEvent, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., disconnect: _Optional[_Union[Disconnect, _Mapping]] = ..., city_view: _Optional[_Union[CityView, _Mapping]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("correlation_id", "success", "detail")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    success: bool
    detail: str
    def __init__(self, correlation_id: _Optional[str] = ..., success: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...

class MatchEvent(_message.Message):
    __slots__ = ("ride_id", "driver_id", "rider_id", "vehicle_plate", "eta_seconds", "surge_multiplier", "pickup_latitude", "pickup_longitude")
    RIDE_ID_FIELD_NUMBER: _ClassVar[int]
    DRIVER_ID_FIELD_NUMBER: _ClassVar[int]
    RIDER_ID_FIELD_NUMBER: _ClassVar[int]
    VEHICLE_PLATE_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SURGE_MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    PICKUP_LATITUDE_FIELD_NUMBER: _ClassVar[int]
    PICKUP_LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    ride_id: str
    driver_id: str
    rider_id: str
    vehicle_plate: str
    eta_seconds: int
    surge_multiplier: float
    pickup_latitude: float
    pickup_longitude: float
    def __init__(self, ride_id: _Optional[str] = ..., driver_id: _Optional[str] = ..., rider_id: _Optional[str] = ..., vehicle_plate: _Optional[str] = ..., eta_seconds: _Optional[int] = ..., surge_multiplier: _Optional[float] = ..., pickup_latitude: _Optional[float] = ..., pickup_longitude: _Optional[float] = ...) -> None: ...

class BroadcastEvent(_message.Message):
    __slots__ = ("topic", "payload", "user_id")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    topic: str
    payload: bytes
    user_id: str
    def __init__(self, topic: _Optional[str] = ..., payload: _Optional[bytes] = ..., user_id: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_id", "heartbeat_interval_ms", "heartbeat_timeout_ms")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    heartbeat_interval_ms: int
    heartbeat_timeout_ms: int
    def __init__(self, session_id: _Optional[str] = ..., heartbeat_interval_ms: _Optional[int] = ..., heartbeat_timeout_ms: _Optional[int] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "temporary")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TEMPORARY_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    temporary: bool
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., temporary: _Optional[bool] = ...) -> None: ...

class Disconnect(_message.Message):
    __slots__ = ("code", "reconnect", "backoff_ms", "jitter_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    RECONNECT_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_MS_FIELD_NUMBER: _ClassVar[int]
    JITTER_MS_FIELD_NUMBER: _ClassVar[int]
    code: str
    reconnect: bool
    backoff_ms: int
    jitter_ms: int
    def __init__(self, code: _Optional[str] = ..., reconnect: _Optional[bool] = ..., backoff_ms: _Optional[int] = ..., jitter_ms: _Optional[int] = ...) -> None: ...

class CityView(_message.Message):
    __slots__ = ("sequence", "snapshot", "changed", "removed", "matched", "zones", "total", "sampled")
    class Matched(_message.Message):
        __slots__ = ("ride_id", "rider_handle", "driver_handle")
        RIDE_ID_FIELD_NUMBER: _ClassVar[int]
        RIDER_HANDLE_FIELD_NUMBER: _ClassVar[int]
        DRIVER_HANDLE_FIELD_NUMBER: _ClassVar[int]
        ride_id: str
        rider_handle: int
        driver_handle: int
        def __init__(self, ride_id: _Optional[str] = ..., rider_handle: _Optional[int] = ..., driver_handle: _Optional[int] = ...) -> None: ...
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    ZONES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    snapshot: bool
    changed: bytes
    removed: bytes
    matched: _containers.RepeatedCompositeFieldContainer[CityView.Matched]
    zones: bytes
    total: int
    sampled: bool
    def __init__(self, sequence: _Optional[int] = ..., snapshot: _Optional[bool] = ..., changed: _Optional[bytes] = ..., removed: _Optional[bytes] = ..., matched: _Optional[_Iterable[_Union[CityView.Matched, _Mapping]]] = ..., zones: _Optional[bytes] = ..., total: _Optional[int] = ..., sampled: _Optional[bool] = ...) -> None: ...
