"""What an account has of static sites, counted by boto3: nothing of Causeway's own is asked."""

import json

import boto3

edge = boto3.client("cloudfront", region_name="us-east-1")


def items(answer, field):
    return answer[field].get("Items") or []


def custom(answer, field, of):
    return sorted(one[of][f"{of}Config"]["Name"] for one in items(answer, field) if one["Type"] == "custom")


zones = boto3.client("route53").list_hosted_zones()["HostedZones"]
print(json.dumps({
    "distributions": sorted(d["Comment"] for d in items(edge.list_distributions(), "DistributionList")),
    "functions": sorted({f["Name"] for f in items(edge.list_functions(), "FunctionList")}),
    "stores": sorted(s["Name"] for s in items(edge.list_key_value_stores(), "KeyValueStoreList")),
    "controls": sorted(c["Name"] for c in items(edge.list_origin_access_controls(), "OriginAccessControlList")),
    "headers": custom(edge.list_response_headers_policies(Type="custom"), "ResponseHeadersPolicyList",
                      "ResponseHeadersPolicy"),
    "caches": custom(edge.list_cache_policies(Type="custom"), "CachePolicyList", "CachePolicy"),
    # The local cloud lists those of one region.
    "buckets": sum(len(boto3.client("s3", region_name=region).list_buckets()["Buckets"])
                   for region in ("us-east-1", "eu-west-1")),
    "certificates": sorted(c["DomainName"] for c in boto3.client("acm", region_name="us-east-1").list_certificates()[
        "CertificateSummaryList"]),
    "zones": sorted(zone["Name"] for zone in zones),
    "records": sorted(
        f"{r['Name']} {r['Type']}"
        for zone in zones
        for r in boto3.client("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        if r["Type"] in ("A", "AAAA")
    ),
}))
