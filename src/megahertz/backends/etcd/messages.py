"""The messages of etcd's API v3 that we use, by their numbers on the wire.

From `rpc.proto`, `kv.proto` and `auth.proto` of etcd 3.6. The table is made into classes at the
first client, in a descriptor pool of its own: modules that protoc writes bind their users to a
range of protobuf's versions, and two packages that ship etcd's messages cannot be imported into
one process. A member of a oneof is a field like any other to the wire.
"""

import functools
import re
from types import SimpleNamespace
from typing import Any, Final

from megahertz.errors import BadSettings

TABLE: Final = """
KeyValue: bytes key=1, int64 create_revision=2, int64 mod_revision=3, int64 version=4,
    bytes value=5, int64 lease=6
Event: int32 type=1, KeyValue kv=2, KeyValue prev_kv=3
Header: uint64 cluster_id=1, uint64 member_id=2, int64 revision=3, uint64 raft_term=4
RangeRequest: bytes key=1, bytes range_end=2, int64 limit=3, int64 revision=4, int32 sort_order=5,
    int32 sort_target=6, bool serializable=7, bool keys_only=8, bool count_only=9
RangeResponse: Header header=1, KeyValue* kvs=2, bool more=3, int64 count=4
PutRequest: bytes key=1, bytes value=2, int64 lease=3, bool prev_kv=4
PutResponse: Header header=1, KeyValue prev_kv=2
DeleteRequest: bytes key=1, bytes range_end=2, bool prev_kv=3
DeleteResponse: Header header=1, int64 deleted=2, KeyValue* prev_kvs=3
RequestOp: RangeRequest request_range=1, PutRequest request_put=2,
    DeleteRequest request_delete_range=3
ResponseOp: RangeResponse response_range=1, PutResponse response_put=2,
    DeleteResponse response_delete_range=3
Compare: int32 result=1, int32 target=2, bytes key=3, int64 version=4, int64 create_revision=5,
    int64 mod_revision=6, bytes value=7, int64 lease=8, bytes range_end=64
TxnRequest: Compare* compare=1, RequestOp* success=2, RequestOp* failure=3
TxnResponse: Header header=1, bool succeeded=2, ResponseOp* responses=3
CompactionRequest: int64 revision=1, bool physical=2
CompactionResponse: Header header=1
WatchCreateRequest: bytes key=1, bytes range_end=2, int64 start_revision=3,
    bool progress_notify=4, bool prev_kv=6, int64 watch_id=7, bool fragment=8
WatchRequest: WatchCreateRequest create_request=1
WatchResponse: Header header=1, int64 watch_id=2, bool created=3, bool canceled=4,
    int64 compact_revision=5, string cancel_reason=6, bool fragment=7, Event* events=11
LeaseGrantRequest: int64 TTL=1, int64 ID=2
LeaseGrantResponse: Header header=1, int64 ID=2, int64 TTL=3, string error=4
LeaseRevokeRequest: int64 ID=1
LeaseRevokeResponse: Header header=1
LeaseKeepAliveRequest: int64 ID=1
LeaseKeepAliveResponse: Header header=1, int64 ID=2, int64 TTL=3
AuthenticateRequest: string name=1, string password=2
AuthenticateResponse: Header header=1, string token=2
"""

_PACKAGE = "megahertz.etcd"
_FIELD = re.compile(r"(\w+)(\*?) (\w+)=(\d+)")


@functools.cache
def messages() -> Any:
    """The classes, as attributes named as in the table, and gRPC itself as `grpc`.

    Raises:
        BadSettings: grpcio and protobuf are not installed.
    """
    # Imported here: it is 20 MB and tenths of a second that only users of etcd should pay.
    try:
        import grpc
        import grpc.aio
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise BadSettings("etcd needs grpcio: pip install 'megahertz[etcd]'") from error
    file = descriptor_pb2.FileDescriptorProto(
        name="megahertz/etcd.proto", package=_PACKAGE, syntax="proto3"
    )
    described = re.split(r"^(\w+):", TABLE, flags=re.MULTILINE)[1:]
    for name, fields in zip(described[::2], described[1::2], strict=True):
        message = file.message_type.add(name=name)
        for kind, many, field, number in _FIELD.findall(fields):
            _add(message, kind, bool(many), field, int(number))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in described[::2]}
    made = {name: message_factory.GetMessageClass(found[name]) for name in found}
    return SimpleNamespace(grpc=grpc, **made)


def _add(message: Any, kind: str, many: bool, name: str, number: int) -> None:
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if many else field.LABEL_OPTIONAL
    if kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
