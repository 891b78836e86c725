//! `deploy preflight` in accounts that are made to go wrong. Nothing is ever changed.

use crate::world::World;
use serde_json::Value as Json;

/// Preflight with `code`, and that it changed nothing.
fn asked(world: &World, code: i32) -> String {
    world.forget_calls();
    let text = world.deploy(&["preflight"]).exits(code);
    assert_eq!(world.mutations().iter().map(|c| c.name()).collect::<Vec<_>>(), Vec::<String>::new());
    // The checks stand in a column.
    text.lines().map(unpadded).collect::<Vec<_>>().join("\n")
}

fn unpadded(line: &str) -> String {
    let Some((head, rest)) = line.split_once("  ").filter(|(head, _)| !head.is_empty()) else {
        return line.into();
    };
    format!("{head}  {}", rest.trim_start())
}

/// One line for `check` that speaks against an apply with these words and, on the next line, this remedy.
fn refused(world: &World, check: &str, answer: &str, remedy: &str) {
    let text = asked(world, 101);
    let found = text.lines().zip(text.lines().skip(1)).any(|(line, next)| {
        line.starts_with(&format!("! {check} ")) && line.contains(answer) && next.contains(remedy)
    });
    assert!(found, "{check}: {answer}: {remedy} is not in\n{text}");
    assert!(text.contains("against an apply") && text.contains("Nothing was changed."), "{text}");
}

/// A certificate that `names` are in, from now until in `days`.
fn import_certificate(world: &World, names: &str, days: i32) -> String {
    let script = format!(
        r#"
import datetime
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
names = "{names}".split()
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
now = datetime.datetime.now(datetime.timezone.utc)
end = now + datetime.timedelta(days={days})
cert = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    .serial_number(1).not_valid_before(min(now, end) - datetime.timedelta(days=1)).not_valid_after(end)
    .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    .sign(key, hashes.SHA256()))
pem = serialization.Encoding.PEM
body = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
print(boto3.client('acm').import_certificate(Certificate=cert.public_bytes(pem), PrivateKey=body)['CertificateArn'])
"#
    );
    world.boto3(&script).trim().to_owned()
}

const DNS: &str = "zone = \"example.com\"\n# In a real account the zone is usually there already, and this line goes.\ncreate_zone = true\n";

#[test]
fn a_new_account_is_fine_and_every_answer_is_in_the_document() {
    let world = World::new(201);
    let text = asked(&world, 0);
    for line in ["+ identity  who we are: arn:", "+ region  whether us-east-1 can be used: it is enabled"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.contains("is for amd64"), "{text}");
    let json: Json = serde_json::from_str(&world.stdout(&["preflight", "--json"])).unwrap();
    let findings = json["result"]["findings"].as_array().unwrap();
    assert!(findings.iter().any(|f| f["check"] == "path" && f["verdict"] == "passed"), "{json}");
    assert_eq!(json["exit_code"], 0);
}

#[test]
fn another_account_is_refused() {
    let world = World::new(202);
    world.edit("region = \"us-east-1\"\n", "region = \"us-east-1\"\naccount = \"000000000203\"\n");
    let text = asked(&world, 64);
    assert!(
        text.contains("000000000202") && text.contains("000000000203") && text.contains("AWS_PROFILE"),
        "{text}"
    );
}

#[test]
fn a_region_that_is_not_enabled_is_told() {
    let world = World::new(203);
    world.edit("region = \"us-east-1\"", "region = \"me-south-1\"");
    refused(&world, "region", "the account has not enabled it", "enable-region --region-name me-south-1");
}

#[test]
fn an_image_has_to_be_there_for_the_right_processor() {
    let world = World::new(204);
    world.edit("source = \"image\"\n", "");
    refused(&world, "image", "there is none in ECR of us-east-1", "push it");
    world.edit("[ecs.service]", &format!("digest = \"sha256:{}\"\n\n[ecs.service]", "0".repeat(64)));
    refused(&world, "image", "nothing can be in it", "deploy apply --only registry");
    // The same question at the start of an apply.
    world.forget_calls();
    let text = world.deploy(&["apply", "--yes"]).exits(101);
    assert!(text.contains("nothing can be in it") && text.contains("--skip-preflight"), "{text}");
    assert!(world.mutations().is_empty());

    world.deploy(&["apply", "--yes", "--only", "registry"]).succeeds();
    refused(&world, "image", "ECR does not have it", "correct `digest`");
    let digest = world.boto3(
        "import json\n\
         media = 'application/vnd.oci.image.index.v1+json'\n\
         part = {'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'digest': 'sha256:' + '1' * 64, 'size': 1,\n\
                 'platform': {'architecture': 'arm64', 'os': 'linux'}}\n\
         index = json.dumps({'schemaVersion': 2, 'mediaType': media, 'manifests': [part]})\n\
         put = boto3.client('ecr').put_image(repositoryName='coder', imageManifest=index, imageManifestMediaType=media,\n\
                                             imageTag='arm')\n\
         print(put['image']['imageId']['imageDigest'])",
    );
    world.edit(&format!("sha256:{}", "0".repeat(64)), digest.trim());
    refused(&world, "image", "it is for arm64, and the task runs on amd64", "set `architecture`");
}

#[test]
fn a_certificate_is_there_lasts_and_covers_the_names() {
    let world = World::new(205);
    let both = "coder.example.com *.coder.example.com";
    let missing =
        format!("arn:aws:acm:us-east-1:{:012}:certificate/11111111-2222-3333-4444-555555555555", 205);
    let mut now = format!("certificate_arn = \"{missing}\"\n");
    world.edit(DNS, &now);
    let mut use_now = |arn: String| {
        let next = format!("certificate_arn = \"{arn}\"\n");
        world.edit(&now, &next);
        now = next;
    };
    refused(&world, "certificate", "there is no such certificate", "certificate_arn");
    use_now(import_certificate(&world, "coder.example.com *.example.com", 90));
    refused(&world, "certificate", "does not cover *.coder.example.com", "also has *.coder.example.com");
    use_now(import_certificate(&world, both, 10));
    let text = asked(&world, 0);
    assert!(text.contains("~ certificate ") && text.contains("ACM does not renew it"), "{text}");
    use_now(import_certificate(&world, both, 90));
    let text = asked(&world, 0);
    assert!(text.contains("+ certificate "), "{text}");
}

#[test]
fn a_zone_has_to_be_there() {
    let world = World::new(206);
    world.edit(DNS, "zone = \"example.com\"\n");
    refused(&world, "zone", "no zone of this account does", "create_zone = true");
    world.boto3("boto3.client('route53').create_hosted_zone(Name='example.com', CallerReference='1')");
    let text = asked(&world, 0);
    assert!(text.contains("+ zone ") && text.contains("dig +short NS example.com"), "{text}");
}

#[test]
fn secrets_have_to_be_readable_and_are_never_shown() {
    let world = World::new(207);
    let create = |name: &str, value: &str| {
        let script = format!(
            "print(boto3.client('secretsmanager').create_secret(Name='{name}', SecretString='''{value}''')['ARN'])"
        );
        world.boto3(&script).trim().to_owned()
    };
    let missing = format!("arn:aws:secretsmanager:us-east-1:{:012}:secret:none-AbCdEf", 207);
    let mut now =
        format!("[ecs.secrets]\nCODER_OIDC_CLIENT_SECRET = \"aws-secret:{missing}\"\n\n[ecs.environment]");
    world.edit("[ecs.environment]", &now);
    let mut use_now = |from: &str| {
        let next =
            format!("[ecs.secrets]\nCODER_OIDC_CLIENT_SECRET = \"aws-secret:{from}\"\n\n[ecs.environment]");
        world.edit(&now, &next);
        now = next;
    };
    refused(&world, "secrets", "there is no such secret", "create-secret");
    let json = create("json", "{\"id\": \"canary-1\"}");
    use_now(&format!("{json}#secret"));
    refused(&world, "secrets", "its JSON has no `secret`", "under [ecs.secrets]");
    use_now(&format!("{json}#id"));
    let text = asked(&world, 0);
    assert!(text.contains("+ secrets ") && !text.contains("canary-1"), "{text}");
    let plain = create("plain", "canary-2");
    use_now(&format!("{plain}#id"));
    refused(&world, "secrets", "not a JSON object", "leave the `#`");
    use_now(&plain);
    let text = asked(&world, 0);
    assert!(text.contains("+ secrets ") && !text.contains("canary-2"), "{text}");
    let locked = world.boto3(
        "key = boto3.client('kms').create_key()['KeyMetadata']['Arn']\n\
         print(boto3.client('secretsmanager').create_secret(Name='locked', SecretString='x', KmsKeyId=key)['ARN'])",
    );
    use_now(locked.trim());
    refused(&world, "secrets", "may not decrypt", "alias/aws/secretsmanager");
    use_now(&plain);
    world.boto3(&format!("boto3.client('secretsmanager').delete_secret(SecretId='{plain}')"));
    refused(&world, "secrets", "scheduled for deletion", "restore-secret");
}

#[test]
fn subnets_have_zones_room_and_a_way_out() {
    let world = World::new(208);
    // One VPC after the other: a single zone, then a second one that is too small, then one without a gateway.
    let network = world.boto3(
        "ec2 = boto3.client('ec2')\n\
         vpc = ec2.create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']\n\
         table = ec2.describe_route_tables(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}])['RouteTables'][0]['RouteTableId']\n\
         gateway = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']\n\
         ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)\n\
         ec2.create_route(RouteTableId=table, DestinationCidrBlock='0.0.0.0/0', GatewayId=gateway)\n\
         ec2.create_subnet(VpcId=vpc, CidrBlock='10.9.0.0/24', AvailabilityZone='us-east-1a')\n\
         print(vpc)",
    );
    let vpc = network.trim();
    world.edit("vpc = \"new\"\ncidr = \"10.0.0.0/16\"\n", &format!("vpc = \"{vpc}\"\n"));
    refused(&world, "subnets", "all are in us-east-1a", "add a public subnet in another zone");
    world.boto3(&format!(
        "boto3.client('ec2').create_subnet(VpcId='{vpc}', CidrBlock='10.9.1.0/28', AvailabilityZone='us-east-1b')"
    ));
    let text = asked(&world, 0);
    assert!(text.contains("+ subnets  whether tasks can fetch their image"), "{text}");
    world.edit("count = 1\n", "count = 200\n");
    refused(&world, "subnets", "free addresses for tasks", "lower `count`");
    world.edit("count = 200\n", "count = 1\n");
    world.boto3(&format!(
        "ec2 = boto3.client('ec2')\n\
         subnets = ec2.describe_subnets(Filters=[{{'Name': 'vpc-id', 'Values': ['{vpc}']}}])['Subnets']\n\
         small = [s['SubnetId'] for s in subnets if s['CidrBlock'] == '10.9.1.0/28'][0]\n\
         for i in range(6): ec2.create_network_interface(SubnetId=small)"
    ));
    refused(&world, "subnets", "has 8 free addresses", "larger subnets");
    // Without its route nothing in there is public.
    world.boto3(&format!(
        "ec2 = boto3.client('ec2')\n\
         table = ec2.describe_route_tables(Filters=[{{'Name': 'vpc-id', 'Values': ['{vpc}']}}])['RouteTables'][0]\n\
         ec2.delete_route(RouteTableId=table['RouteTableId'], DestinationCidrBlock='0.0.0.0/0')"
    ));
    refused(&world, "subnets", "the VPC has no public subnets", "vpc = \"new\"");
}

/// A command in a session that the device of `account` vouches for, with a cache of its own.
fn with_device(world: &World, account: u64, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = world.command(env!("CARGO_BIN_EXE_deploy"));
    command.env("AWS_MFA_SERIAL", format!("arn:aws:iam::{account:012}:mfa/ada"));
    command.env("XDG_CACHE_HOME", world.folder().join("cache"));
    let output = command.args(flags).stdin(std::process::Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|t| String::from_utf8_lossy(&t).into_owned()).concat();
    assert!(!text.contains("sandbox-session"), "{text}");
    (output.status.code(), text)
}

#[test]
fn a_second_factor_gives_a_session_that_is_kept() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let world = World::new(209);
    world.forget_calls();
    let sessions = || world.calls().iter().filter(|c| c.operation == "GetSessionToken").count();
    // Without a terminal nobody can be asked.
    let (code, text) = with_device(&world, 209, &["plan"]);
    assert!(code == Some(64) && text.contains("--mfa-code"), "{text}");
    let (code, text) = with_device(&world, 209, &["plan", "--mfa-code", "12 456"]);
    assert!(code == Some(64) && text.contains("six digits"), "{text}");
    assert_eq!(sessions(), 0);
    let (code, text) = with_device(&world, 209, &["plan", "--mfa-code", "000000"]);
    assert!(
        code == Some(64) && text.contains("good for half a minute") && text.contains("list-mfa-devices"),
        "{text}"
    );
    let (code, text) = with_device(&world, 210, &["plan", "--mfa-code", "123456"]);
    assert!(
        code == Some(64) && text.contains("000000000210:mfa/ada") && text.contains("not a colleague's"),
        "{text}"
    );

    let (code, text) = with_device(&world, 209, &["plan", "--mfa-code", "123456"]);
    assert_eq!(code, Some(0), "{text}");
    let begun = sessions();
    let (code, text) = with_device(&world, 209, &["preflight"]);
    assert!(code == Some(0) && text.contains("it ends in 11 h 59 min"), "{text}");
    assert_eq!(sessions(), begun, "the session is taken up again");
    let kept =
        fs::read_dir(world.folder().join("cache/causeway/mfa")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    // One that ends before the plan would.
    let mut session: Json = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(400);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    session["ends"] = world.boto3(&format!("import datetime; print(datetime.datetime.fromtimestamp({soon}, datetime.timezone.utc).isoformat().replace('+00:00', 'Z'))")).trim().into();
    fs::write(&kept, session.to_string()).unwrap();
    let (code, text) = with_device(&world, 209, &["apply", "--yes"]);
    assert!(
        code == Some(101) && text.contains("it ends in 6 min") && text.contains("add --mfa-code"),
        "{text}"
    );
    assert!(world.mutations().iter().all(|c| c.service == "sts" || !c.mutates));

    // A session cannot begin another one.
    let mut command = world.command(env!("CARGO_BIN_EXE_deploy"));
    command.env("AWS_SESSION_TOKEN", "x").args(["plan", "--mfa-serial", "arn:aws:iam::1:mfa/a"]);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && text.contains("AWS_SESSION_TOKEN"), "{text}");
}

#[test]
fn permissions_are_simulated() {
    let world = World::new(211);
    let text = asked(&world, 0);
    assert!(text.contains("+ permissions  whether arn:aws:sts::000000000211:user/moto may do the"), "{text}");
    // The user whose name moto makes up, with policies now.
    world.boto3(
        "import json\n\
         iam = boto3.client('iam')\n\
         iam.create_user(UserName='moto')\n\
         policy = {'Version': '2012-10-17', 'Statement': [\n\
             {'Effect': 'Allow', 'Action': '*', 'Resource': '*'},\n\
             {'Effect': 'Deny', 'Action': 'rds:Create*', 'Resource': '*'}]}\n\
         iam.put_user_policy(UserName='moto', PolicyName='p', PolicyDocument=json.dumps(policy))",
    );
    refused(&world, "permissions", "rds:CreateDBInstance, rds:CreateDBParameterGroup", "deploy iam-policy");
}

#[test]
fn quotas_leave_room_or_do_not() {
    let world = World::new(212);
    let text = asked(&world, 0);
    assert!(text.contains("quotas  whether the quota leaves room for 1 more VPCs in us-east-1"), "{text}");
    world.boto3("for i in range(5): boto3.client('ec2').create_vpc(CidrBlock='10.1.0.0/16')");
    refused(&world, "quotas", "5 are allowed, 6 are used", "--quota-code L-F678F1CE --desired-value 7");
}

#[test]
fn the_policy_allows_every_call_of_an_apply() {
    let world = World::new(213);
    let policy = |flags: &[&str]| -> Vec<String> {
        let policy: Json = serde_json::from_str(&world.stdout(flags)).unwrap();
        let statements = policy["Statement"].as_array().unwrap().clone();
        let actions = statements.iter().flat_map(|s| s["Action"].as_array().unwrap().clone());
        actions.map(|a| a.as_str().unwrap().to_owned()).collect()
    };
    let allowed = policy(&["iam-policy"]);
    let since = world.calls().len();
    world.deploy(&["apply", "--yes"]).succeeds();
    let called: std::collections::BTreeSet<String> = world.calls()[since..]
        .iter()
        .filter(|c| c.service != "sts")
        .map(|c| c.name().replace("monitoring:", "cloudwatch:"))
        .collect();
    let missing: Vec<&String> = called.iter().filter(|c| !allowed.contains(c)).collect();
    assert!(missing.is_empty(), "called and not allowed: {missing:?}");
    assert!(called.len() > 60, "{called:?}");
}
