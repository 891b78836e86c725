import base64, boto3, botocore, hashlib, json, sys, time


def client(name, **more):
    return boto3.client(name, **more)


def refused(call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response['Error']['Code']


def put(bucket, objects):
    for key, o in objects.items():
        more = {'ContentType': 'text/html', **o.get('more', {})}
        client('s3').put_object(Bucket=bucket, Key=key, Body=o.get('body', key).encode(), **more)


def function(name, code, store=None, publish=True):
    cf = client('cloudfront')
    config = {'Comment': name, 'Runtime': 'cloudfront-js-2.0'}
    if store:
        config['KeyValueStoreAssociations'] = {'Quantity': 1, 'Items': [{'KeyValueStoreARN': store}]}
    made = cf.create_function(Name=name, FunctionConfig=config, FunctionCode=code.encode())
    if publish:
        cf.publish_function(Name=name, IfMatch=made['ETag'])
    return made['FunctionSummary']['FunctionMetadata']['FunctionARN']


def allow(bucket, distribution, actions=('s3:GetObject',)):
    """The policy that CloudFront's documentation has."""
    statement = {'Effect': 'Allow', 'Principal': {'Service': 'cloudfront.amazonaws.com'}, 'Action': list(actions),
                 'Resource': ['arn:aws:s3:::' + bucket, 'arn:aws:s3:::' + bucket + '/*'],
                 'Condition': {'StringEquals': {'AWS:SourceArn': distribution}}}
    client('s3').put_bucket_policy(Bucket=bucket, Policy=json.dumps({'Version': '2012-10-17', 'Statement': [statement]}))


def site(o):
    """A distribution on a private bucket, with what `o` asks for."""
    cf, name = client('cloudfront'), o['name']
    client('s3').create_bucket(Bucket=name)
    put(name, o.get('objects', {}))
    store = cf.create_key_value_store(Name=name)['KeyValueStore']['ARN']
    functions = [{'EventType': event, 'FunctionARN': function(name + '-' + event, code, store if 'kvs' in code else None)}
                 for event, code in o.get('functions', {}).items()]
    control = cf.create_origin_access_control(OriginAccessControlConfig={
        'Name': name, 'SigningProtocol': 'sigv4', 'SigningBehavior': 'always', 'OriginAccessControlOriginType': 's3'})
    least, default, most = o.get('ttl', [0, 86400, 31536000])
    cache = cf.create_cache_policy(CachePolicyConfig={
        'Name': name, 'MinTTL': least, 'DefaultTTL': default, 'MaxTTL': most,
        'ParametersInCacheKeyAndForwardedToOrigin': {
            'EnableAcceptEncodingGzip': True, 'EnableAcceptEncodingBrotli': True,
            'HeadersConfig': {'HeaderBehavior': 'none'}, 'CookiesConfig': {'CookieBehavior': 'none'},
            'QueryStringsConfig': o.get('query', {'QueryStringBehavior': 'none'})}})
    behavior = {'TargetOriginId': 'bucket', 'ViewerProtocolPolicy': 'redirect-to-https', 'Compress': True,
                'CachePolicyId': cache['CachePolicy']['Id'],
                'FunctionAssociations': {'Quantity': len(functions), 'Items': functions}}
    if 'headers' in o:
        policy = cf.create_response_headers_policy(ResponseHeadersPolicyConfig={'Name': name, **o['headers']})
        behavior['ResponseHeadersPolicyId'] = policy['ResponseHeadersPolicy']['Id']
    more = {**behavior, 'FunctionAssociations': {'Quantity': 0}}
    behaviors = [{**more, 'PathPattern': pattern} for pattern in o.get('plain', [])]
    errors = o.get('errors', [])
    config = {
        'CallerReference': name, 'Comment': name, 'Enabled': True,
        'DefaultRootObject': o.get('root', ''),
        'Aliases': {'Quantity': len(o.get('aliases', [])), 'Items': o.get('aliases', [])},
        'Origins': {'Quantity': 1, 'Items': [{
            'Id': 'bucket', 'DomainName': name + '.s3.us-east-1.amazonaws.com', 'OriginPath': o.get('path', ''),
            'OriginAccessControlId': control['OriginAccessControl']['Id'],
            'S3OriginConfig': {'OriginAccessIdentity': ''}}]},
        'DefaultCacheBehavior': behavior,
        'CacheBehaviors': {'Quantity': len(behaviors), 'Items': behaviors},
        'CustomErrorResponses': {'Quantity': len(errors), 'Items': errors},
    }
    made = cf.create_distribution(DistributionConfig=config)['Distribution']
    if o.get('allowed', True):
        allow(name, made['ARN'], o.get('actions', ['s3:GetObject']))
    return {'id': made['Id'], 'arn': made['ARN'], 'domain': made['DomainName'], 'store': store, 'bucket': name}
