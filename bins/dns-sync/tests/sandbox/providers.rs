//! Zones that are not at Cloudflare: on a real BIND, and at Route 53 of the sandbox.

use crate::{
    follows::{SIX, first, six, tables, three},
    world::{World, ZONE},
};
use causeway_dns::{
    Name,
    owner::mark_in,
    provider::{
        Provider,
        rfc2136::{Account, Algorithm, Key, Rfc2136},
    },
    record::Kind,
    zone::Zone,
};
use causeway_sandbox::bind::{Bind, SECRET, WRITER};

/// Three clusters are six records, twice; a load balancer that is replaced takes its names along; one that is not to be reached
/// keeps them. `there` is all that is in the zone, and something that is another for each change that was sent.
async fn follows(
    world: &World,
    test: &'static str,
    zone: &str,
    there: impl AsyncFn() -> (Vec<String>, String),
) {
    let said = async || {
        let mut said: Vec<String> =
            there().await.0.into_iter().filter(|line| line.contains(" CNAME ")).collect();
        said.sort();
        said
    };
    let clusters = three(test, world).await;
    world.configure_at(zone, &tables(&clusters));
    let theirs = there().await.0;
    let applied = world.run(&["apply", "--json"]).await.ends_with(0).json();
    assert_eq!(applied["result"]["done"].as_array().unwrap().len(), 6, "{applied:#}");
    assert_eq!(said().await, first());
    let all = there().await;
    assert!(theirs.iter().all(|line| all.0.contains(line)), "{all:#?}");

    let again = world.run(&["apply", "--quiet"]).await.ends_with(0);
    assert_eq!((again.out.as_str(), again.err.as_str()), ("", ""));
    world.run(&["plan", "--detailed-exitcode"]).await.ends_with(0);
    assert_eq!(there().await, all, "nothing was sent");

    clusters.balanced("oregon", Some("d.elb.us-west-2.amazonaws.com")).await;
    clusters.cut("emea", world);
    let applied = world.run(&["apply", "--json"]).await.ends_with(69).json();
    assert_eq!(applied["result"]["done"].as_array().unwrap().len(), 2, "{applied:#}");
    assert_eq!(said().await, six(SIX[0].2, "d.elb.us-west-2.amazonaws.com", SIX[2].2));

    // Without its journal it finds all of its records again, and takes the last run back with one.
    let before = there().await;
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world.run(&["apply", "--quiet"]).await.ends_with(69);
    assert_eq!(there().await, before);
    clusters.heal("emea", world);
    clusters.balanced("oregon", Some(SIX[1].2)).await;
    world.run(&["apply"]).await.ends_with(0);
    assert_eq!(said().await, first());
    world.run(&["undo"]).await.ends_with(0);
    assert_eq!(said().await, six(SIX[0].2, "d.elb.us-west-2.amazonaws.com", SIX[2].2));
    let exported = world.run(&["export"]).await.ends_with(0).out;
    assert_eq!(exported.matches("[[records]]").count(), 6, "{exported}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_clusters_are_six_records_on_a_real_bind() {
    let file = "$TTL 600\n@ IN SOA ns1 admin 1 3600 600 86400 60\n@ IN NS ns1\nns1 IN A 127.0.0.1\n\
                www IN A 192.0.2.77\n@ IN TXT \"v=spf1 -all\"\n";
    let Some(bind) = Bind::start(ZONE, file).await.unwrap() else { return };
    let mut world = World::new().await;
    world.env = vec![("TSIG".into(), SECRET.into())];
    let zone = format!(
        "provider = \"rfc2136\"\nserver = \"{}\"\nkey = {{ name = \"{WRITER}\", secret = \"env:TSIG\" }}\n",
        bind.address()
    );
    let name = Name::parse(ZONE).unwrap();
    let key = Key { name: WRITER.into(), algorithm: Algorithm::Sha256, secret: SECRET.into() };
    let account = Account { server: bind.address().to_string(), key: Some(key), zones: vec![name.clone()] };
    let server = Rfc2136::new(account).unwrap();
    // The serial of the SOA counts what was sent.
    let there = async || {
        let listed = server.list(&Zone { name: name.clone(), id: ZONE.into() }).await.unwrap();
        let (serial, plain): (Vec<_>, Vec<_>) =
            listed.iter().partition(|e| e.kind == Kind::Other("SOA".into()));
        let mut all: Vec<String> = plain
            .iter()
            .map(|e| match &e.kind {
                Kind::Txt if mark_in(e).is_some() => format!("{} mark {}", e.name, e.value),
                kind => format!("{} {kind} {}", e.name, e.value),
            })
            .collect();
        all.sort();
        (all, serial[0].handle.clone())
    };
    follows(&world, "bind", &zone, there).await;
    // Its own server, asked on the wire.
    let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
    world.write("dns-sync.toml", &format!("{text}\n[verify]\nservers = [\"{}\"]\n", bind.address()));
    let ran = world.run(&["verify"]).await.ends_with(0);
    assert!(ran.out.contains("6 of 6 answers are right"), "{ran:#?}");
}

/// Issue 6, D 7, for servers with dynamic updates.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_server_or_its_key_is_told() {
    let file = "$TTL 600\n@ IN SOA ns1 admin 1 3600 600 86400 60\n@ IN NS ns1\nns1 IN A 127.0.0.1\n";
    let Some(bind) = Bind::start(ZONE, file).await.unwrap() else { return };
    let mut world = World::new().await;
    let record = "[[records]]\nname = \"a.example.com\"\nvalues = [\"192.0.2.1\"]\n";
    let at = |name: &str| {
        let address = bind.address();
        format!(
            "provider = \"rfc2136\"\nserver = \"{address}\"\nkey = {{ name = \"{name}\", secret = \"env:TSIG\" }}\n"
        )
    };
    for (name, secret, code, says) in [
        ("nobody", SECRET, 69, "BADKEY"),
        (WRITER, "b3RoZXI=", 69, "BADSIG"),
        (WRITER, "no base64", 64, "tsig-keygen"),
        (causeway_sandbox::bind::READER, SECRET, 100, "REFUSED"),
    ] {
        world.env = vec![("TSIG".into(), secret.into())];
        world.configure_at(&at(name), record);
        let ran = world.run(&["apply"]).await.ends_with(code);
        assert!(ran.err.contains(says), "`{says}` is not in {ran:#?}");
        assert!(!ran.err.contains(secret), "{ran:#?}");
    }
    world.env = vec![("TSIG".into(), SECRET.into())];
    world.configure_at(&at(WRITER).replace(&bind.address().to_string(), "127.0.0.1:1"), record);
    // Without a journal, of which the engine would wait for the zone.
    std::fs::remove_dir_all(world.path("state")).unwrap();
    let ran = world.run(&["apply", "--time-limit", "20"]).await.ends_with(69);
    assert!(ran.err.contains("no answer"), "{ran:#?}");
}

#[cfg(feature = "route53")]
mod route53 {
    use super::*;
    use causeway_sandbox::shared;
    use tokio::process::Command;

    const ACCOUNT: &str = "000000000684";

    const MAKE: &str =
        "import boto3; boto3.client('route53').create_hosted_zone(Name='example.com', CallerReference='x')";

    /// All sets, a line each.
    const LIST: &str = r#"
import boto3
route53 = boto3.client("route53")
zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
for page in route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone):
    for one in page["ResourceRecordSets"]:
        for record in one["ResourceRecords"]:
            print(one["Name"].replace("\\052", "*").rstrip("."), one["Type"], record["Value"].rstrip("."))
"#;

    #[tokio::test(flavor = "multi_thread")]
    async fn three_clusters_are_six_records_at_route_53() {
        let sandbox = shared().unwrap_or_else(|e| panic!("{e}"));
        let (key, secret) = sandbox.credentials(ACCOUNT).unwrap();
        let mut world = World::new().await;
        world.env = sandbox.env();
        // Without a region: Route 53 has none.
        world.env.retain(|(name, _)| !name.ends_with("_REGION"));
        world.env.extend([("AWS_ACCESS_KEY_ID".into(), key), ("AWS_SECRET_ACCESS_KEY".into(), secret)]);
        world.env.push(("AWS_EC2_METADATA_DISABLED".into(), "true".into()));
        let python = async |code: &str| {
            let mut command = Command::new(&sandbox.installed().python);
            command.args(["-c", code]).envs(world.env.clone()).env("AWS_DEFAULT_REGION", "us-east-1");
            let output = command.output().await.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        python(MAKE).await;
        let there = async || {
            let sent = sandbox.gateway().mutations();
            let sent = sent.iter().filter(|call| call.operation == "ChangeResourceRecordSets").count();
            (python(LIST).await.lines().map(str::to_owned).collect(), sent.to_string())
        };
        follows(&world, "route53", "provider = \"route53\"\n", there).await;

        // Nobody's credentials: told in a line, and not in what the SDK is made of.
        world.env.retain(|(name, _)| !name.contains("KEY"));
        std::fs::remove_dir_all(world.path("state")).unwrap();
        let ran = world.run(&["plan"]).await.ends_with(69);
        assert!(ran.err.contains("credentials") && !ran.err.contains("DispatchFailure"), "{ran:#?}");
    }
}
