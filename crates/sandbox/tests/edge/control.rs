//! What CloudFront refuses, and what stays in progress.

use super::{boto3, until};
use serde_json::{Value, json};

#[test]
fn a_function_has_two_stages_and_a_limit() {
    let answer = boto3(
        "000000007011",
        &Value::Null,
        "cf = client('cloudfront')\n\
         store = [cf.create_key_value_store(Name='s' + n)['KeyValueStore']['ARN'] for n in '12']\n\
         describe = lambda stage: cf.describe_function(Name='f', Stage=stage)['FunctionSummary']\n\
         uses = lambda stage: describe(stage)['FunctionConfig']['KeyValueStoreAssociations']['Items'][0]['KeyValueStoreARN']\n\
         code = lambda stage: cf.get_function(Name='f', Stage=stage)['FunctionCode'].read().decode()\n\
         large = refused(cf.create_function, Name='g', FunctionConfig={'Comment': '', 'Runtime': 'cloudfront-js-2.0'}, FunctionCode=b'/' * 10241)\n\
         function('f', 'one', store[0], publish=False)\n\
         before = refused(cf.describe_function, Name='f', Stage='LIVE')\n\
         listed = len(cf.list_functions(Stage='LIVE')['FunctionList'].get('Items', []))\n\
         cf.publish_function(Name='f', IfMatch=cf.describe_function(Name='f')['ETag'])\n\
         config = {'Comment': 'new', 'Runtime': 'cloudfront-js-2.0', 'KeyValueStoreAssociations': {'Quantity': 1, 'Items': [{'KeyValueStoreARN': store[1]}]}}\n\
         cf.update_function(Name='f', IfMatch=cf.describe_function(Name='f')['ETag'], FunctionConfig=config, FunctionCode=b'two')\n\
         live = cf.list_functions(Stage='LIVE')['FunctionList']['Items']\n\
         answer = [large, before, listed, code('LIVE'), code('DEVELOPMENT'), uses('LIVE') == store[0], uses('DEVELOPMENT') == store[1],\n\
                   describe('LIVE')['FunctionConfig']['Comment'], len(live), live[0]['FunctionConfig']['Comment'],\n\
                   [refused(cf.delete_key_value_store, Name='s' + n, IfMatch=cf.describe_key_value_store(Name='s' + n)['ETag']) for n in '12']]",
    );
    let used = "CannotDeleteEntityWhileInUse";
    let expected = json!([
        "FunctionSizeLimitExceeded",
        "NoSuchFunctionExists",
        0,
        "one",
        "two",
        true,
        true,
        "f",
        1,
        "f",
        [used, used]
    ]);
    assert_eq!(answer, expected);
}

#[test]
fn what_a_distribution_uses_stays_and_is_published() {
    let answer = boto3(
        "000000007012",
        &json!({
            "name": "in-use", "functions": { "viewer-request": "function handler(e) { return e.request; }" },
            "headers": { "SecurityHeadersConfig": { "ContentTypeOptions": { "Override": true } } },
        }),
        "cf = client('cloudfront')\n\
         made = site(given)\n\
         config = cf.get_distribution_config(Id=made['id'])\n\
         used = config['DistributionConfig']['DefaultCacheBehavior']\n\
         control = config['DistributionConfig']['Origins']['Items'][0]['OriginAccessControlId']\n\
         cache, headers, name = used['CachePolicyId'], used['ResponseHeadersPolicyId'], 'in-use-viewer-request'\n\
         draft = function('draft', 'function handler(e) { return e.request; }', publish=False)\n\
         used['FunctionAssociations']['Items'][0]['FunctionARN'] = draft\n\
         answer = [refused(cf.delete_function, Name=name, IfMatch=cf.describe_function(Name=name)['ETag']),\n\
                   refused(cf.delete_cache_policy, Id=cache, IfMatch=cf.get_cache_policy(Id=cache)['ETag']),\n\
                   refused(cf.delete_response_headers_policy, Id=headers, IfMatch=cf.get_response_headers_policy(Id=headers)['ETag']),\n\
                   refused(cf.delete_origin_access_control, Id=control, IfMatch=cf.get_origin_access_control(Id=control)['ETag']),\n\
                   refused(cf.update_distribution, Id=made['id'], IfMatch=config['ETag'], DistributionConfig=config['DistributionConfig']),\n\
                   cf.describe_function(Name=name, Stage='LIVE')['FunctionSummary']['Name'],\n\
                   refused(cf.delete_function, Name='draft', IfMatch=cf.describe_function(Name='draft')['ETag'])]",
    );
    let expected = json!([
        "FunctionInUse",
        "CachePolicyInUse",
        "ResponseHeadersPolicyInUse",
        "OriginAccessControlInUse",
        "InvalidFunctionAssociation",
        "in-use-viewer-request",
        null
    ]);
    assert_eq!(answer, expected);
}

#[test]
fn an_invalidation_is_in_progress_for_a_while_and_one_reference_is_one_invalidation() {
    let made = boto3(
        "000000007013",
        &json!({ "name": "invalidated" }),
        "cf = client('cloudfront')\n\
         id = site(given)['id']\n\
         def invalidate(reference, paths): return cf.create_invalidation(DistributionId=id, InvalidationBatch={\n    \
             'CallerReference': reference, 'Paths': {'Quantity': len(paths), 'Items': paths}})['Invalidation']\n\
         first, again = invalidate('a', ['/a', '/b*']), invalidate('a', ['/a', '/b*'])\n\
         batch = {'CallerReference': 'a', 'Paths': {'Quantity': 1, 'Items': ['/c']}}\n\
         other = refused(cf.create_invalidation, DistributionId=id, InvalidationBatch=batch)\n\
         wild = ['/%d*' % n for n in range(16)]\n\
         batch = {'CallerReference': 'w', 'Paths': {'Quantity': 16, 'Items': wild}}\n\
         many = refused(cf.create_invalidation, DistributionId=id, InvalidationBatch=batch)\n\
         answer = [id, first['Id'], first['Status'], first['Id'] == again['Id'], other, many]",
    );
    let expected = ["InProgress", "InvalidationBatchAlreadyExists", "TooManyInvalidationsInProgress"];
    assert_eq!(
        (&made[2], &made[4], &made[5]),
        (&json!(expected[0]), &json!(expected[1]), &json!(expected[2]))
    );
    assert_eq!(made[3], true);
    until("the invalidation completes", || {
        let script = "answer = client('cloudfront').get_invalidation(DistributionId=given[0], Id=given[1])['Invalidation']['Status']";
        (boto3("000000007013", &made, script) == "Completed").then_some(())
    });
}
