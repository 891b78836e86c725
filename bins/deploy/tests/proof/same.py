"""What `listing.py` lists, without what is another in every account: ids, incarnations, moments, addresses, orders. Two
accounts in which the same was made give the same; what is there twice, or is not as it should be, differs."""

import re

CHANCE = {
    "causeway:instance", "RoleLastUsed", "Thumbprint", "ThumbprintList", "VersionId", "VersionIdsToStages",
    "SecretVersionsToStages", "PrivateIpAddress", "PrivateIpAddresses", "PrivateDnsName", "PublicIp", "PublicIpAddress",
    "PublicDnsName", "MacAddress", "Port", "port", "host", "Address", "certificateAuthority", "endpoint", "health",
    "AvailableIpAddressCount", "images", "length", "ResponseMetadata", "InstanceProfileId", "PolicyId", "RoleId",
    "AssociationId", "DbiResourceId", "creationTime", "CreatedTimestamp", "LastModifiedTimestamp", "repositoryUri", "url",
    "associationId", "associationArn",
}
ID = re.compile(r"-[0-9a-f]{8,}\b|-[a-z2-7]{12}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9A-F]{32}\b"
                r"|(?<=:secret:)(?P<secret>.*)-[A-Za-z0-9]{6}$")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d.*")


def same(thing):
    if isinstance(thing, dict):
        if thing.get("Key") in CHANCE:
            return thing["Key"]
        return {word(key): same(value) for key, value in thing.items() if key not in CHANCE}
    if isinstance(thing, (list, tuple)):
        return sorted((same(one) for one in thing), key=lambda one: json.dumps(one, sort_keys=True))
    if thing is None or isinstance(thing, (bool, int, float)):
        return thing
    return word(str(thing))


def word(text):
    text = ID.sub(lambda m: (m["secret"] or "") + "-#", text)
    return "TIME" if MOMENT.fullmatch(text) else text


def unlisted(name):
    """What nothing else leads to when it was left behind."""
    kms = boto3.client("kms", region_name=name)
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    rds = boto3.client("rds", region_name=name)
    return {
        "all_keys": sum(1 for key in keys if key["KeyManager"] == "CUSTOMER" and key["KeyState"] == "Enabled"),
        "snapshots": [s["DBSnapshotIdentifier"] for s in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]],
    }


found = listing(sys.argv[1:])
found["regions"] = {name: {**there, **unlisted(name)} for name, there in found["regions"].items()}
flat = {f"{name} {what}": there for name, all_there in {**found["regions"], "iam": found["iam"]}.items()
        for what, there in all_there.items()}
listed = {what: list(there.items()) if isinstance(there, dict) else there for what, there in flat.items()}
print(json.dumps({what: same(there) for what, there in listed.items()}))
