"""The embedded endpoint honours or refuses every S3 parameter that boto3 knows: none is accepted and ignored.

The list comes from the service model of botocore. A parameter of a newer botocore must be refused until it
is listed here, so that an upgrade cannot cause a false success.
"""

from __future__ import annotations

import contextlib
import datetime

import botocore.exceptions
import botocore.handlers
import botocore.session
import pytest

from lake import ACCOUNT, RESULTS, Endpoint

KEY = "parameters/object"
SOURCE = "parameters/source"

# The parameters that every write of an object stores.
DESCRIBED = {
    "CacheControl": "no-store",
    "ContentDisposition": "attachment",
    "ContentEncoding": "br",
    "ContentLanguage": "pt",
    "ContentType": "text/csv",
    "Expires": datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
    "Metadata": {"origin": "floor"},
}
CHECKSUMS = "ChecksumCRC32 ChecksumCRC32C ChecksumCRC64NVME ChecksumSHA1 ChecksumSHA256"
SOURCE_CONDITIONS = "CopySourceIfMatch CopySourceIfModifiedSince CopySourceIfNoneMatch CopySourceIfUnmodifiedSince"
READ = (
    "Bucket Key IfMatch IfModifiedSince IfNoneMatch IfUnmodifiedSince Range PartNumber ChecksumMode ResponseCacheControl "
    "ResponseContentDisposition ResponseContentEncoding ResponseContentLanguage ResponseContentType ResponseExpires"
)
# The parameters of each operation that have an effect; other tests cover the effects that are not obvious.
SUPPORTED = {
    "AbortMultipartUpload": "Bucket Key UploadId",
    "CompleteMultipartUpload": f"Bucket Key UploadId MultipartUpload IfMatch IfNoneMatch MpuObjectSize {CHECKSUMS} "
    "ChecksumType",
    "CopyObject": f"Bucket Key CopySource {SOURCE_CONDITIONS} IfMatch IfNoneMatch MetadataDirective TaggingDirective "
    f"Tagging ChecksumAlgorithm StorageClass {' '.join(DESCRIBED)}",
    "CreateBucket": "Bucket",
    "CreateMultipartUpload": f"Bucket Key Tagging ChecksumAlgorithm ChecksumType StorageClass {' '.join(DESCRIBED)}",
    "DeleteBucket": "Bucket",
    "DeleteObject": "Bucket Key IfMatch",
    "DeleteObjectTagging": "Bucket Key",
    "DeleteObjects": "Bucket Delete ChecksumAlgorithm",
    "GetBucketLocation": "Bucket",
    "GetObject": READ,
    "GetObjectTagging": "Bucket Key",
    "HeadBucket": "Bucket",
    "HeadObject": READ,
    "ListBuckets": "MaxBuckets ContinuationToken Prefix BucketRegion",
    "ListMultipartUploads": "Bucket Delimiter EncodingType KeyMarker MaxUploads Prefix UploadIdMarker",
    "ListObjects": "Bucket Delimiter EncodingType Marker MaxKeys Prefix",
    "ListObjectsV2": "Bucket ContinuationToken Delimiter EncodingType FetchOwner MaxKeys Prefix StartAfter",
    "ListParts": "Bucket Key UploadId MaxParts PartNumberMarker",
    "PutObject": f"Bucket Key Body ContentLength ContentMD5 ChecksumAlgorithm {CHECKSUMS} IfMatch IfNoneMatch Tagging "
    f"StorageClass {' '.join(DESCRIBED)}",
    "PutObjectTagging": "Bucket Key Tagging ContentMD5 ChecksumAlgorithm",
    "UploadPart": f"Bucket Key UploadId PartNumber Body ContentLength ContentMD5 ChecksumAlgorithm {CHECKSUMS}",
    "UploadPartCopy": f"Bucket Key UploadId PartNumber CopySource CopySourceRange {SOURCE_CONDITIONS}",
}
# Without effect on any bucket here: there are no requester payments and no archives.
WITHOUT_EFFECT = {"RequestPayer", "OptionalObjectAttributes"}
# Parameters that have an error of their own.
ERRORS = {
    "ExpectedBucketOwner": "AccessDenied",
    "ExpectedSourceBucketOwner": "AccessDenied",
    "VersionId": "InvalidArgument",
    "CreateBucketConfiguration": "IllegalLocationConstraintException",
    # No bucket has Object Lock.
    "BypassGovernanceRetention": "InvalidArgument",
    "ObjectLockLegalHoldStatus": "InvalidRequest",
    "ObjectLockMode": "InvalidArgument",
    "ObjectLockRetainUntilDate": "InvalidArgument",
}
# No bucket has ACLs.
ACLS = {"ACL", "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP"}
# Values that need more than the right type.
VALUES = {
    "ACL": "public-read",
    "BucketNamespace": "account-regional",
    "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"},
    "ExpectedBucketOwner": "111122223333",
    "ExpectedSourceBucketOwner": "111122223333",
    "ObjectOwnership": "ObjectWriter",
    "SSECustomerKey": "k" * 32,
    "CopySourceSSECustomerKey": "k" * 32,
}

MODEL = botocore.session.get_session().get_service_model("s3")


def members(operation: str) -> list[str]:
    shape = MODEL.operation_model(operation).input_shape
    return list(shape.members) if shape else []


def value_of(operation: str, member: str):
    """Returns a valid value of the parameter that differs from its default."""
    if member in VALUES:
        return VALUES[member]
    shape = MODEL.operation_model(operation).input_shape.members[member]
    if enum := getattr(shape, "enum", None):
        return enum[-1]
    values = {
        "string": "x",
        "boolean": True,
        "integer": 3,
        "long": 3,
        "timestamp": datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc),
        "list": ["RestoreStatus"],
    }
    return values[shape.type_name]


@pytest.fixture(scope="module")
def s3(endpoint: Endpoint):
    client = endpoint.client("s3")
    client.put_object(Bucket=RESULTS, Key=SOURCE, Body=b"the source")
    return client


@pytest.fixture
def plain(s3):
    """Returns the required parameters of each operation. The objects are restored for each test."""
    s3.put_object(Bucket=RESULTS, Key=KEY, Body=b"the bytes")
    key = {"Bucket": RESULTS, "Key": KEY}
    upload = s3.create_multipart_upload(**key)["UploadId"]
    part = s3.upload_part(**key, UploadId=upload, PartNumber=1, Body=b"a part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    source = {"Bucket": RESULTS, "Key": SOURCE}
    yield {
        "AbortMultipartUpload": {**key, "UploadId": upload},
        "CompleteMultipartUpload": {**key, "UploadId": upload, "MultipartUpload": parts},
        "CopyObject": {**key, "CopySource": source},
        "CreateBucket": {"Bucket": "parameters"},
        "CreateMultipartUpload": key,
        "DeleteBucket": {"Bucket": RESULTS},
        "DeleteObject": key,
        "DeleteObjectTagging": key,
        "DeleteObjects": {"Bucket": RESULTS, "Delete": {"Objects": [{"Key": KEY}]}},
        "GetBucketLocation": {"Bucket": RESULTS},
        "GetObject": key,
        "GetObjectTagging": key,
        "HeadBucket": {"Bucket": RESULTS},
        "HeadObject": key,
        "ListBuckets": {},
        "ListMultipartUploads": {"Bucket": RESULTS},
        "ListObjects": {"Bucket": RESULTS},
        "ListObjectsV2": {"Bucket": RESULTS},
        "ListParts": {**key, "UploadId": upload},
        "PutObject": {**key, "Body": b"forged"},
        "PutObjectTagging": {**key, "Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}},
        "UploadPart": {**key, "UploadId": upload, "PartNumber": 2, "Body": b"forged"},
        "UploadPartCopy": {**key, "UploadId": upload, "PartNumber": 2, "CopySource": source},
    }
    with contextlib.suppress(s3.exceptions.NoSuchUpload):  # it was completed
        s3.abort_multipart_upload(**key, UploadId=upload)


def outcome(s3, operation: str, arguments: dict) -> str:
    """Returns the error code of the service, or that there was no error."""
    try:
        s3._make_api_call(operation, arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "done"


def state_of(s3, upload: str) -> tuple:
    """Returns everything that a write could have changed."""
    key = {"Bucket": RESULTS, "Key": KEY}
    read = s3.get_object(**key)
    return (
        read["Body"].read(),
        read["ETag"],
        read["LastModified"],
        s3.get_object_tagging(**key)["TagSet"],
        [part["PartNumber"] for part in s3.list_parts(**key, UploadId=upload).get("Parts", [])],
        [upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=RESULTS).get("Uploads", [])],
        [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
    )


@pytest.mark.parametrize("operation", SUPPORTED)
def test_an_unsupported_parameter_is_refused(s3, plain, operation: str):
    supported = set(SUPPORTED[operation].split())
    assert supported <= set(members(operation)), "a parameter that S3 does not have"
    upload = plain["ListParts"]["UploadId"]
    before = state_of(s3, upload)
    for member in members(operation):
        if member in supported | WITHOUT_EFFECT:
            continue
        # The response to a HEAD has no body with an error code.
        expected = ERRORS.get(member, "NotImplemented")
        if member in ACLS:
            of_bucket = operation == "CreateBucket"
            expected = "InvalidBucketAclWithObjectOwnership" if of_bucket else "AccessControlListNotSupported"
        if operation.startswith("Head"):
            expected = {"NotImplemented": "501", "AccessDenied": "403", "InvalidArgument": "400"}[expected]
        found = outcome(s3, operation, {**plain[operation], member: value_of(operation, member)})
        assert found == expected, f"{operation} with {member}"
    assert state_of(s3, upload) == before, "a refused request changed something"


@pytest.mark.parametrize("operation", SUPPORTED)
def test_values_that_equal_the_fixed_behaviour_are_accepted(s3, plain, operation: str):
    fixed = {
        "ACL": "bucket-owner-full-control",
        "BucketKeyEnabled": False,
        "BypassGovernanceRetention": False,
        "ExpectedBucketOwner": ACCOUNT,
        "ExpectedSourceBucketOwner": ACCOUNT,
        "ObjectLockEnabledForBucket": False,
        "ObjectOwnership": "BucketOwnerEnforced",
        "RequestPayer": "requester",
        "StorageClass": "STANDARD",
        "VersionId": "null",
    }
    fixed = {name: value for name, value in fixed.items() if name in members(operation)}
    if operation == "CreateBucket":
        fixed["ACL"] = "private"
    if operation == "DeleteBucket":
        assert outcome(s3, operation, {**plain[operation], **fixed}) == "BucketNotEmpty"
        return
    s3._make_api_call(operation, {**plain[operation], **fixed})
    if operation == "CreateBucket":
        s3.delete_bucket(Bucket="parameters")


@pytest.mark.parametrize("operation", ["PutObject", "CopyObject", "CreateMultipartUpload"])
def test_metadata_of_an_object_is_kept(s3, plain, operation: str):
    parameters = {**plain[operation], **DESCRIBED, "Tagging": "a=b&c=d", "StorageClass": "STANDARD_IA"}
    if operation == "CopyObject":
        parameters |= {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
    response = s3._make_api_call(operation, parameters)
    key = {"Bucket": RESULTS, "Key": KEY}
    if operation == "CreateMultipartUpload":
        assert s3.list_parts(**key, UploadId=response["UploadId"])["StorageClass"] == "STANDARD_IA"
        part = s3.upload_part(**key, UploadId=response["UploadId"], PartNumber=1, Body=b"x")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        s3.complete_multipart_upload(**key, UploadId=response["UploadId"], MultipartUpload=parts)
    head = s3.head_object(**key)
    assert {name: head[name] for name in DESCRIBED} == DESCRIBED
    assert head["StorageClass"] == "STANDARD_IA"
    assert s3.get_object_tagging(**key)["TagSet"] == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]


def test_every_operation_is_supported_or_refused(endpoint: Endpoint, s3):
    """Operations that are not in the table are refused, and not confused with others."""
    for operation in MODEL.operation_names:
        shape = MODEL.operation_model(operation)
        # Directory buckets and Object Lambda have hosts of their own.
        if operation in SUPPORTED or shape.endpoint or operation in {"CreateSession", "ListDirectoryBuckets"}:
            continue
        assert outcome(s3, operation, minimal_value(shape.input_shape)) == "NotImplemented", operation
    assert s3.get_object(Bucket=RESULTS, Key=SOURCE)["Body"].read() == b"the source"


def minimal_value(shape, depth: int = 0):
    """Returns a minimal value of a shape."""
    if shape is None:
        return {}
    if shape.type_name == "structure":
        named = {"Bucket": RESULTS, "Key": SOURCE}
        if shape.is_tagged_union:
            name, member = next(iter(shape.members.items()))
            return {name: minimal_value(member, depth + 1)}
        return {
            name: named.get(name) if depth == 0 and name in named else minimal_value(shape.members[name], depth + 1)
            for name in shape.required_members
        }
    text = "x" * shape.metadata.get("min", 1)
    values = {"string": text, "boolean": True, "integer": 1, "long": 1, "blob": b"x", "map": {"a": "b"}}
    if shape.type_name == "list":
        return [minimal_value(shape.member, depth + 1)]
    if shape.type_name == "timestamp":
        return datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    return shape.enum[0] if getattr(shape, "enum", None) else values[shape.type_name]


TOMORROW = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
# An error of each kind, as the SDK shows it: the operation, parameters that are added to the required ones, the error's code,
# and what stands beside it.
KINDS = [
    ("GetObject", {"Key": "none"}, "NoSuchKey", {"Key": "none"}),
    ("GetObject", {"Bucket": "no-such-bucket"}, "NoSuchBucket", {"BucketName": "no-such-bucket"}),
    ("GetObject", {"IfMatch": "other"}, "PreconditionFailed", {"Condition": "If-Match"}),
    ("GetObject", {"Range": "bytes=9-12"}, "InvalidRange", {"RangeRequested": "bytes=9-12", "ActualObjectSize": "9"}),
    ("GetObject", {"PartNumber": 3}, "InvalidPartNumber", {"PartNumberRequested": "3", "ActualPartCount": "1"}),
    ("GetObject", {"VersionId": "x"}, "InvalidArgument", {"ArgumentName": "versionId", "ArgumentValue": "x"}),
    ("HeadObject", {"VersionId": "x"}, "400", {}),
    ("HeadObject", {"IfMatch": "other"}, "412", {}),
    ("PutObject", {"IfNoneMatch": "*"}, "PreconditionFailed", {"Condition": "If-None-Match"}),
    ("PutObject", {"IfMatch": "*"}, "NotImplemented", {"Header": "If-Match"}),
    ("PutObject", {"SSECustomerKey": "k" * 32}, "NotImplemented", {}),
    ("PutObject", {"StorageClass": "DEEP_ARCHIVE"}, "NotImplemented", {"Header": "x-amz-storage-class"}),
    ("PutObject", {"StorageClass": "OUTPOSTS"}, "InvalidStorageClass", {"StorageClassRequested": "OUTPOSTS"}),
    ("PutObject", {"WriteOffsetBytes": 3}, "NotImplemented", {"Header": "x-amz-write-offset-bytes"}),
    ("PutObject", {"WebsiteRedirectLocation": "/"}, "NotImplemented", {"Header": "x-amz-website-redirect-location"}),
    ("PutObject", {"ContentMD5": ""}, "InvalidDigest", {}),
    (
        "PutObject",
        {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="},
        "BadDigest",
        {"CalculatedDigest": "6naqHS7Osk3xyuBh/rVxiA=="},
    ),
    ("PutObject", {"ChecksumSHA256": "TEST"}, "InvalidRequest", {}),
    ("PutObject", {"ChecksumCRC32": "AAAAAA=="}, "BadDigest", {}),
    ("PutObject", {"Metadata": {"a": "x" * 2048}}, "MetadataTooLarge", {"Size": "2049", "MaxSizeAllowed": "2048"}),
    ("PutObject", {"Tagging": "&".join(map(str, range(11)))}, "BadRequest", {}),
    ("PutObject", {"Tagging": "a=1&a=2"}, "InvalidArgument", {"ArgumentName": "x-amz-tagging"}),
    ("PutObjectTagging", {"Tagging": {"TagSet": [{"Key": "aws:a", "Value": ""}]}}, "InvalidTag", {"TagKey": "aws:a"}),
    ("CopyObject", {"CopySourceIfMatch": "other"}, "PreconditionFailed", {"Condition": "x-amz-copy-source-If-Match"}),
    ("CopyObject", {"CopySource": {"Bucket": RESULTS, "Key": KEY}}, "InvalidRequest", {}),
    ("CopyObject", {"CopySource": {"Bucket": RESULTS, "Key": KEY}, "IfNoneMatch": "*"}, "PreconditionFailed", {}),
    ("CopyObject", {"CopySource": {"Bucket": RESULTS, "Key": "none"}}, "NoSuchKey", {"Key": "none"}),
    ("DeleteObject", {"IfMatch": "other"}, "PreconditionFailed", {"Condition": "If-Match"}),
    ("DeleteObject", {"Key": "none", "IfMatch": "*"}, "NoSuchKey", {"Key": "none"}),
    ("DeleteObject", {"IfMatchSize": 1}, "NotImplemented", {"Header": "x-amz-if-match-size"}),
    (
        "DeleteObject",
        {"IfMatchLastModifiedTime": TOMORROW},
        "NotImplemented",
        {"Header": "x-amz-if-match-last-modified-time"},
    ),
    ("UploadPart", {"PartNumber": 10_001}, "InvalidArgument", {"ArgumentName": "partNumber"}),
    ("UploadPart", {"UploadId": "none"}, "NoSuchUpload", {"UploadId": "none"}),
    ("UploadPartCopy", {"CopySourceRange": "bytes=0-100"}, "InvalidArgument", {"ArgumentValue": "bytes=0-100"}),
    ("UploadPartCopy", {"CopySourceRange": "bytes=100-200"}, "InvalidRequest", {}),
    ("CompleteMultipartUpload", {"MultipartUpload": {}}, "InvalidRequest", {}),
    ("CompleteMultipartUpload", {"MpuObjectSize": 7}, "InvalidRequest", {}),
    ("CompleteMultipartUpload", {"IfNoneMatch": "*"}, "PreconditionFailed", {"Condition": "If-None-Match"}),
    ("CreateMultipartUpload", {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"}, "InvalidRequest", {}),
    ("CreateMultipartUpload", {"Tagging": "aws:a=b"}, "InvalidTag", {"TagKey": "aws:a"}),
    ("ListObjects", {"EncodingType": "value"}, "InvalidArgument", {"ArgumentName": "encoding-type"}),
    ("ListObjectsV2", {"ContinuationToken": ""}, "InvalidArgument", {"ArgumentName": "continuation-token"}),
    ("ListMultipartUploads", {"KeyMarker": "a", "UploadIdMarker": "x"}, "InvalidArgument", {"ArgumentValue": "x"}),
    ("ListBuckets", {"BucketRegion": "nowhere"}, "InvalidArgument", {"ArgumentName": "bucket-region"}),
    ("CreateBucket", {"Bucket": "No_Name"}, "InvalidBucketName", {"BucketName": "No_Name"}),
    (
        "CreateBucket",
        {"CreateBucketConfiguration": {"LocationConstraint": "nowhere"}},
        "InvalidLocationConstraint",
        {"LocationConstraint": "nowhere"},
    ),
    ("CreateBucket", {"CreateBucketConfiguration": {"Tags": [{"Key": "a", "Value": "b"}]}}, "NotImplemented", {}),
    ("DeleteBucket", {}, "BucketNotEmpty", {"BucketName": RESULTS}),
]


@pytest.mark.parametrize(("operation", "parameters", "code", "elements"), KINDS)
def test_an_error_says_what_it_is_about(s3, plain, operation: str, parameters: dict, code: str, elements: dict):
    upload = plain["ListParts"]["UploadId"]
    before = state_of(s3, upload)
    if "No_Name" in parameters.values():  # botocore would refuse the name itself
        s3.meta.events.unregister("before-parameter-build.s3", botocore.handlers.validate_bucket_name)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3._make_api_call(operation, {**plain[operation], **parameters})
    error = refused.value.response["Error"]
    assert error["Code"] == code, error
    assert error.items() >= elements.items()
    assert error["Message"]
    assert refused.value.response["ResponseMetadata"]["RequestId"]
    assert state_of(s3, upload) == before, "a refused request changed something"


def test_a_read_with_a_condition_of_tomorrow_is_answered(s3, plain):
    for operation in ("GetObject", "HeadObject"):
        assert s3._make_api_call(operation, {**plain[operation], "IfModifiedSince": TOMORROW})["ContentLength"] == 9
    s3.copy_object(**plain["CopyObject"], CopySourceIfModifiedSince=TOMORROW)


def test_a_batch_has_an_error_for_each_object_that_stays(s3, plain):
    other, version = {"Key": KEY, "ETag": '"other"'}, {"Key": KEY, "VersionId": "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD"}
    answer = s3.delete_objects(Bucket=RESULTS, Delete={"Objects": [other, version, {"Key": "none"}]})
    assert {error["Code"] for error in answer["Errors"]} == {"PreconditionFailed", "NoSuchVersion"}
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["none"]
    assert s3.get_object(Bucket=RESULTS, Key=KEY)["Body"].read() == b"the bytes"


def test_a_part_of_an_object_is_partial(s3, plain):
    for operation in ("GetObject", "HeadObject"):
        answer = s3._make_api_call(operation, {**plain[operation], "PartNumber": 1})
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["ContentRange"] == "bytes 0-8/9" and "PartsCount" not in answer


def test_what_an_answer_has_without_being_asked(s3, plain):
    key = {"Bucket": RESULTS, "Key": KEY}
    s3.put_object_tagging(**key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    head = s3.head_object(**key)
    assert head["TagCount"] == 1
    listed = {
        operation: s3._make_api_call(operation, {"Bucket": RESULTS, "Prefix": KEY, "Delimiter": ""})
        for operation in ("ListObjects", "ListObjectsV2")
    }
    for answer in listed.values():
        assert answer["Contents"][0]["LastModified"] == head["LastModified"], "instants are whole seconds"
        assert "Delimiter" not in answer
    assert listed["ListObjects"]["Contents"][0]["Owner"]["ID"] == ACCOUNT
    uploads = s3.list_multipart_uploads(Bucket=RESULTS)
    assert uploads["KeyMarker"] == uploads["UploadIdMarker"] == ""
    assert uploads["NextUploadIdMarker"] == uploads["Uploads"][-1]["UploadId"]
    parts = s3.list_parts(**plain["ListParts"])
    assert (parts["NextPartNumberMarker"], parts["Initiator"]["ID"], parts["Owner"]["ID"]) == (1, ACCOUNT, ACCOUNT)
    assert "ChecksumCRC32" not in parts["Parts"][0], "the upload was begun without an algorithm"
    completed = s3.complete_multipart_upload(**plain["CompleteMultipartUpload"])
    assert completed["ChecksumType"] == "FULL_OBJECT"
    again = s3.complete_multipart_upload(**plain["CompleteMultipartUpload"], IfNoneMatch="*")
    assert again["ETag"] == completed["ETag"], "a completion can be repeated"
    head = s3.head_object(**key, ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == completed["ChecksumCRC64NVME"]


def test_buckets_have_pages(s3):
    first = s3.list_buckets(MaxBuckets=1)
    second = s3.list_buckets(MaxBuckets=1, ContinuationToken=first["ContinuationToken"])
    assert [len(first["Buckets"]), len(second["Buckets"])] == [1, 1]
    assert first["Buckets"][0]["Name"] < second["Buckets"][0]["Name"]


def test_a_bucket_with_nothing_but_an_upload_can_be_deleted(s3):
    for _ in range(2):
        s3.create_bucket(Bucket="only-an-upload")  # its owner may do so again in us-east-1
    s3.create_multipart_upload(Bucket="only-an-upload", Key="k")
    s3.delete_bucket(Bucket="only-an-upload")
    assert outcome(s3, "HeadBucket", {"Bucket": "only-an-upload"}) == "404"
