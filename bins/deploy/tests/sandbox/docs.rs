//! A static site: from the empty account and back, and from the public website bucket that people begin with.

use crate::{changes, clean_plan, world::World};
use causeway_sandbox::{
    cloudflare::{Token, Zone},
    shared,
};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const EXAMPLE: &str = include_str!("../../../../examples/docs.toml");
const INVENTORY: &str = include_str!("docs.py");

/// The most calls that a plan may take that finds nothing to do.
const PLAN: usize = 30;

fn inventory(world: &World) -> Json {
    serde_json::from_str(&world.boto3(INVENTORY)).unwrap()
}

/// The configuration of the distribution, as boto3 reads it.
fn distribution(world: &World, id: &str) -> Json {
    let script = format!(
        "import json\nedge = boto3.client('cloudfront', region_name='us-east-1')\n\
         print(json.dumps(edge.get_distribution_config(Id='{id}')['DistributionConfig']))"
    );
    serde_json::from_str(&world.boto3(&script)).unwrap()
}

fn outputs(world: &World) -> Json {
    let document: Json = serde_json::from_str(&world.deploy(&["outputs", "--json"]).output()).unwrap();
    document["result"]["outputs"].clone()
}

#[test]
fn a_site_from_an_empty_account_and_back() {
    let world = World::with(371, EXAMPLE);
    let asked = world.deploy(&["preflight"]).succeeds();
    assert!(!asked.contains("\n! "), "{asked}");
    let policy = world.stdout(&["iam-policy"]);
    for action in
        ["cloudfront:CreateDistribution", "cloudfront:PublishFunction", "s3:PutEncryptionConfiguration"]
    {
        assert!(policy.contains(action), "{action} is not in {policy}");
    }
    world.deploy(&["apply", "--yes"]).succeeds();
    let there = inventory(&world);
    let expected = json!({
        "distributions": ["Coder documentation site"],
        "functions": ["workbench-docs-headers", "workbench-docs-router"],
        "stores": ["workbench-docs"],
        "controls": ["workbench-docs"],
        "headers": ["workbench-docs"],
        "caches": ["workbench-docs"],
        "buckets": 1,
        "certificates": ["docs.example.com"],
        "zones": ["example.com."],
        "records": ["docs.example.com. A", "docs.example.com. AAAA", "help.example.com. A", "help.example.com. AAAA"],
    });
    assert_eq!(there, expected);
    let told = outputs(&world);
    assert_eq!(told["docs_url"], "https://docs.example.com", "{told}");
    let config = distribution(&world, told["docs_distribution"].as_str().unwrap());
    assert_eq!(config["ViewerCertificate"]["MinimumProtocolVersion"], "TLSv1.2_2021");
    assert_eq!(config["HttpVersion"], "http2and3");
    assert_eq!(config["DefaultCacheBehavior"]["ViewerProtocolPolicy"], "redirect-to-https");
    assert_eq!(config["DefaultCacheBehavior"]["FunctionAssociations"]["Quantity"], 2);
    let origin = &config["Origins"]["Items"][0];
    let bucket = told["docs_bucket"].as_str().unwrap();
    assert_eq!(origin["DomainName"], format!("{bucket}.s3.eu-west-1.amazonaws.com"));
    assert_ne!(origin["OriginAccessControlId"], "");

    world.forget_calls();
    world.deploy(&["apply", "--yes"]).succeeds();
    clean_plan(&world, "a site", PLAN);
    world.deploy(&["drift"]).succeeds();
    assert_eq!(changes(&world), Vec::<String>::new());

    world.edit("price_class = \"100\"", "price_class = \"200\"");
    world.deploy(&["apply", "--yes", "--only", "docs"]).succeeds();
    assert_eq!(changes(&world), ["cloudfront:UpdateDistribution"]);
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();

    world.deploy(&["destroy", "--yes"]).exits(101);
    let permits = ["docs/bucket", "docs/store"];
    let mut flags = vec!["destroy", "--yes"];
    permits.iter().for_each(|permit| flags.extend(["--permit", permit]));
    // A zone that the stack made is data as well.
    flags.extend(["--permit", "docs/zone"]);
    world.deploy(&flags).succeeds();
    let left = inventory(&world);
    for (what, left) in left.as_object().unwrap() {
        assert!(*left == json!([]) || *left == json!(0), "{what}: {left}");
    }
}

/// A site whose names are at Cloudflare: that of the zone itself, and one in it.
fn at_cloudflare(zone: &str, api: &str) -> String {
    format!(
        r#"[stack]
name = "elsewhere"
region = "us-east-1"

[docs]
domain = "{zone}"
aliases = ["docs.{zone}"]

[docs.dns]
provider = "cloudflare"
zone = "{zone}"
token = "file:token"
api = "{api}"
"#
    )
}

/// A world with such a site, whose zone is there, and a token that may change it.
fn world_at_cloudflare(number: u64, zone: &str) -> World {
    let cloudflare = shared().unwrap().cloudflare();
    cloudflare.add_zone(Zone::new(zone)).unwrap();
    let world = World::with(number, &at_cloudflare(zone, &cloudflare.endpoint()));
    world.write("token", &cloudflare.add_token(Token::dns(zone)));
    world
}

/// What is in a zone at Cloudflare beside marks, and how many marks of the stack there are.
fn led(zone: &str) -> (BTreeMap<String, String>, usize) {
    let records = shared().unwrap().cloudflare().records(zone);
    let (marks, names): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.kind == "TXT");
    let ours = marks.iter().filter(|mark| mark.content.contains("external-dns/owner=elsewhere"));
    let names = names.into_iter().map(|record| {
        let proxied = if record.proxied { " behind the proxy" } else { "" };
        (record.name, format!("{} {}{proxied}", record.kind, record.content))
    });
    (names.collect(), ours.count())
}

/// What somebody does at Cloudflare with `call`, in the `records` of a zone.
fn by_hand(world: &World, zone: &str, script: &str) {
    let begins = format!(
        "import json, os, urllib.request\n\
         def call(method, path, body=None):\n    \
         asked = urllib.request.Request(os.environ['CLOUDFLARE_BASE_URL'] + path, method=method, \
         data=body and json.dumps(body).encode())\n    \
         asked.add_header('Authorization', 'Bearer ' + os.environ['CLOUDFLARE_API_TOKEN'])\n    \
         asked.add_header('Content-Type', 'application/json')\n    \
         return json.load(urllib.request.urlopen(asked))['result']\n\
         records = '/zones/' + call('GET', '/zones?name={zone}')[0]['id'] + '/dns_records'\n"
    );
    world.boto3(&(begins + script));
}

const PERMITS: [&str; 6] = ["destroy", "--yes", "--permit", "docs/bucket", "--permit", "docs/store"];

#[test]
fn a_site_whose_names_are_at_cloudflare_and_back() {
    let zone = "example.com";
    let world = world_at_cloudflare(381, zone);
    let cloudflare = shared().unwrap().cloudflare();
    // Whatever else it could ask in time.
    let asked = world.deploy(&["preflight"]).text();
    assert!(
        asked.contains("Preflight:") && !asked.contains("\n! ") && !asked.contains("hosted zone"),
        "{asked}"
    );
    let policy = world.stdout(&["iam-policy"]);
    assert!(policy.contains("acm:RequestCertificate") && !policy.contains("route53:"), "{policy}");

    world.deploy(&["apply", "--yes"]).succeeds();
    let there = inventory(&world);
    assert_eq!(there["certificates"], json!([zone]));
    assert_eq!((&there["zones"], &there["records"]), (&json!([]), &json!([])));
    let told = outputs(&world);
    assert_eq!(told["docs_url"], "https://example.com", "{told}");
    let id = told["docs_distribution"].as_str().unwrap();
    let names = json!({"Quantity": 2, "Items": ["docs.example.com", "example.com"]});
    let mut aliases = distribution(&world, id)["Aliases"].clone();
    aliases["Items"].as_array_mut().unwrap().sort_by_key(Json::to_string);
    assert_eq!(aliases, names);
    let (leads, marks) = led(zone);
    let edge = format!("CNAME {}", told["docs_distribution_name"].as_str().unwrap());
    let proofs: Vec<&String> = leads.keys().filter(|name| name.starts_with('_')).collect();
    assert_eq!((leads.len(), marks, proofs.len()), (4, 4, 2), "{leads:#?}");
    for name in names["Items"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
        assert_eq!(leads[name], edge, "{leads:#?}");
        assert!(proofs.iter().any(|proof| proof.split_once('.').unwrap().1 == name), "{leads:#?}");
    }
    for proof in proofs {
        assert!(leads[proof].ends_with(".acm-validations.aws"), "{leads:#?}");
    }

    world.forget_calls();
    world.deploy(&["apply", "--yes"]).succeeds();
    let asked =
        || cloudflare.calls().into_iter().filter(|call| call.token == zone).map(|call| call.operation);
    let before = asked().count();
    clean_plan(&world, "a site with names at Cloudflare", PLAN);
    let asked: Vec<String> = asked().skip(before).collect();
    assert_eq!(asked, ["zones:list", "records:list"]);
    assert_eq!(changes(&world), Vec::<String>::new());

    // Somebody has Cloudflare stand in front: that is seen, and taken back.
    by_hand(
        &world,
        zone,
        "docs = call('GET', records + '?name=docs.example.com&type=CNAME')[0]['id']\n\
         call('PATCH', f'{records}/{docs}', {'proxied': True})",
    );
    assert_eq!(led(zone).0["docs.example.com"], format!("{edge} behind the proxy"));
    let drift = world.deploy(&["drift"]).exits(2);
    assert!(drift.contains("docs/cname-docs.example.com") && drift.contains("proxied"), "{drift}");
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(led(zone), (leads, 4));

    world.deploy(&PERMITS).succeeds();
    assert!(cloudflare.records(zone).is_empty(), "{:#?}", cloudflare.records(zone));
    let left = inventory(&world);
    assert_eq!((&left["distributions"], &left["certificates"]), (&json!([]), &json!([])));
}

#[test]
fn what_somebody_else_has_at_cloudflare_is_left_alone() {
    let zone = "example.net";
    let world = world_at_cloudflare(382, zone);
    let theirs = |name: &str| {
        format!(
            "call('POST', records, {{'type': 'CNAME', 'name': '{name}', 'content': 'theirs.example.org', 'ttl': 300}})"
        )
    };
    // The name itself: the plan sees it.
    by_hand(&world, zone, &theirs("docs.example.net"));
    let refused = world.deploy(&["apply", "--yes"]).exits(101);
    assert!(
        refused.contains("! docs/cname-docs.example.net  is there already and was not made"),
        "{refused}"
    );
    assert_eq!(changes(&world), Vec::<String>::new());
    assert_eq!(
        led(zone),
        (BTreeMap::from([("docs.example.net".into(), "CNAME theirs.example.org".into())]), 0)
    );
    by_hand(&world, zone, "call('DELETE', records + '/' + call('GET', records)[0]['id'])");

    // The name of a proof, which nobody knows before the certificate is requested.
    let proof = "_d930b28be6c5927595552b219965053e.docs.example.net";
    by_hand(&world, zone, &theirs(proof));
    let failed = world.deploy(&["apply", "--yes"]).exits(100);
    assert!(
        failed.contains("docs/cname-proof-docs.example.net") && failed.contains("was not made by this stack"),
        "{failed}"
    );
    assert_eq!(led(zone).0[proof], "CNAME theirs.example.org");
    let planned = world.deploy(&["plan"]).succeeds();
    assert!(planned.contains("! docs/cname-proof-docs.example.net  is there already"), "{planned}");
    by_hand(
        &world,
        zone,
        &format!("call('DELETE', records + '/' + call('GET', records + '?name={proof}')[0]['id'])"),
    );
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!((led(zone).0.len(), led(zone).1), (4, 4));

    // Without the token nothing is left behind: it is told what it is that is missing.
    std::fs::remove_file(world.folder().join("token")).unwrap();
    let missing = world.deploy(&["plan"]).exits(64);
    assert!(missing.contains("cannot read the secret in") && missing.contains("token"), "{missing}");
    let closed = world.deploy(&PERMITS).text();
    println!("{closed}");
    let cloudflare = shared().unwrap().cloudflare();
    world.write("token", &cloudflare.add_token(Token::dns("of others").zones(["example.org"])));
    let closed = world.deploy(&PERMITS).text();
    println!("{closed}");
    assert_eq!((led(zone).0.len(), led(zone).1), (4, 4));
    world.write("token", &cloudflare.add_token(Token::dns(zone)));

    // To Route 53, where the file speaks of Cloudflare no more: the token is where its own programs look.
    let dns = "provider = \"cloudflare\"\nzone = \"example.net\"\ntoken = \"file:token\"\n";
    world.edit(dns, "zone = \"example.net\"\ncreate_zone = true\n");
    world.edit(&format!("api = \"{}\"\n", cloudflare.endpoint()), "");
    world.deploy(&["apply", "--yes"]).succeeds();
    assert!(cloudflare.records(zone).is_empty(), "{:#?}", cloudflare.records(zone));
    assert_eq!(inventory(&world)["records"].as_array().unwrap().len(), 4);
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
}

/// A rehearsal changes nothing outside: what the file says of Cloudflare does not even have to make sense.
#[test]
fn a_rehearsal_knows_no_cloudflare_but_its_own() {
    let world = World::with(383, &at_cloudflare("example.org", "no address"));
    world.write("token", "of the real one");
    let said = world.deploy(&["plan"]).exits(64);
    assert!(said.contains("look at `api` in `[docs.dns]`"), "{said}");
    let planned = world.deploy(&["plan", "--sandbox"]).succeeds();
    assert!(planned.contains("+ docs/cname-docs.example.org"), "{planned}");
}

const NAMELESS: &str = "[stack]\nname = \"lost\"\nregion = \"us-east-1\"\n\n[docs]\n";

#[test]
fn a_site_whose_journal_is_lost_is_found_again_and_not_made_twice() {
    let world = World::with(373, NAMELESS);
    world.deploy(&["apply", "--yes"]).succeeds();
    let there = inventory(&world);
    std::fs::remove_dir_all(world.folder().join(".causeway")).unwrap();
    world.forget_calls();
    let refused = || {
        let said = world.deploy(&["apply", "--yes"]).exits(101);
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let said = refused();
    assert!(said.contains("! docs/distribution carries our tags"), "{said}");
    let told = world.deploy(&["state", "rebuild", "--yes"]).succeeds();
    for address in ["docs/bucket", "docs/distribution", "docs/readers"] {
        assert!(told.contains(&format!("= {address} ")), "{address} is missing in\n{told}");
    }
    // What carries no tags is known by its name only.
    let said = refused();
    assert!(said.contains("! docs/store is there already"), "{said}");
    world.deploy(&["apply", "--yes", "--adopt"]).succeeds();
    assert_eq!(changes(&world), Vec::<String>::new());
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    assert_eq!(inventory(&world), there);
}

#[test]
fn killed_at_any_moment_a_site_ends_in_the_same_place() {
    let reference = World::with(374, EXAMPLE);
    reference.deploy(&["apply", "--yes"]).succeeds();
    let (wanted, total) = (inventory(&reference), reference.mutations().len());
    for (i, moment) in [1, total / 3, 2 * total / 3, total - 1].into_iter().enumerate() {
        let world = World::with(375 + i as u64, EXAMPLE);
        world.kill_after(moment, Duration::from_secs(240));
        world.deploy(&["apply", "--yes"]).succeeds();
        world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
        assert_eq!(inventory(&world), wanted, "killed after {moment} of {total} changes");
    }
}

/// What the second seed does by hand, one to one.
const BY_HAND: &str = r#"
import json, time
s3, edge = boto3.client("s3", region_name="us-east-1"), boto3.client("cloudfront", region_name="us-east-1")
bucket = "coder-docs-BUCKET"
s3.create_bucket(Bucket=bucket)
s3.delete_public_access_block(Bucket=bucket)
s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]}))
s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={
    "IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "404.html"}})
for key in ("index.html", "404.html"):
    s3.put_object(Bucket=bucket, Key=key, Body=f"the old {key}".encode(), ContentType="text/html")
made = edge.create_distribution(DistributionConfig={
    "CallerReference": f"coder-docs-{int(time.time())}",
    "Origins": {"Quantity": 1, "Items": [{
        "Id": "coder-docs-origin",
        "DomainName": f"{bucket}.s3-website-us-east-1.amazonaws.com",
        "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}}]},
    "DefaultCacheBehavior": {
        "TargetOriginId": "coder-docs-origin", "ViewerProtocolPolicy": "redirect-to-https", "MinTTL": 0,
        "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}}},
    "Comment": "Coder documentation site", "Enabled": True})
print(made["Distribution"]["Id"])
"#;

fn plan(world: &World) -> Json {
    let document: Json = serde_json::from_str(&world.stdout(&["plan", "--json"])).unwrap();
    document["result"]["plan"].clone()
}

/// Where visitors are led, and by how many functions.
fn serves(config: &Json) -> (String, i64) {
    let behavior = &config["DefaultCacheBehavior"];
    let origins = config["Origins"]["Items"].as_array().unwrap();
    let origin = origins.iter().find(|origin| origin["Id"] == behavior["TargetOriginId"]).unwrap();
    let functions = behavior["FunctionAssociations"]["Quantity"].as_i64().unwrap_or_default();
    (origin["DomainName"].as_str().unwrap().to_owned(), functions)
}

/// What a visitor gets at `path`: the status and the page.
fn visit(world: &World, id: &str, path: &str) -> (u64, String) {
    let script = format!(
        "import json, os, urllib.error, urllib.request\n\
         at = urllib.request.Request(os.environ['CAUSEWAY_EDGE_URL'] + '{path}')\n\
         at.add_header('Host', '{}.cloudfront.net')\n\
         try:\n    answer = urllib.request.urlopen(at)\n\
         except urllib.error.HTTPError as error:\n    answer = error\n\
         print(json.dumps([answer.status, answer.read().decode()]))",
        id.to_lowercase()
    );
    serde_json::from_str(&world.boto3(&script)).unwrap()
}

/// Waits until a visitor gets what is expected; edges learn of a change one after another.
fn shows(world: &World, id: &str, path: &str, expected: (u64, &str)) {
    let since = Instant::now();
    loop {
        let seen = visit(world, id, path);
        if (seen.0, seen.1.as_str()) == expected {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{path} shows {seen:?}, and not {expected:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What `docs-publish publish` does.
async fn publish(world: &World, id: &str, page: &str) -> bool {
    use causeway_docs_publish::{place, publish, scan, wanted};
    let folder = world.folder().join("site");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["index.html", "404.html"] {
        std::fs::write(folder.join(name), format!("{page} {name}")).unwrap();
    }
    let env = BTreeMap::from_iter(causeway_sandbox::shared().unwrap().env());
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(&env["AWS_ENDPOINT_URL"])
        .credentials_provider(aws_credential_types::Credentials::new(
            world.key(),
            world.secret(),
            None,
            None,
            "sandbox",
        ))
        .region(aws_config::Region::new("us-east-1"))
        .load()
        .await;
    let place = place::Place::find(&config, &place::Target::Distribution(id.to_owned())).await.unwrap();
    let tree = scan::scan(&folder).unwrap();
    let content = wanted::Content::of(&tree, &wanted::Choices::default()).unwrap();
    publish::publish(&place, &tree, &content, &publish::Options::default(), &|_| {}).await.unwrap();
    place.staged
}

#[test]
fn the_website_that_people_made_is_taken_over_and_moves_step_by_step() {
    let bucket = format!("{}", std::process::id());
    let host = format!("coder-docs-{bucket}.s3-website-us-east-1.amazonaws.com");
    let world = World::with(372, "[stack]\nname = \"seed\"\nregion = \"us-east-1\"\n\n[docs]\n");
    let id = world.boto3(&BY_HAND.replace("BUCKET", &bucket)).trim().to_owned();
    world.forget_calls();

    // It is not made a second time: the plan says what is there, and which line takes it over.
    let refused = world.deploy(&["apply", "--yes"]).exits(101);
    let line = format!("\"docs/distribution\" = \"{id}\"");
    assert!(refused.contains(&line), "{refused}");
    assert_eq!(changes(&world), Vec::<String>::new());
    let found = world.deploy(&["adopt", "--by-name", "Coder documentation"]).succeeds();
    assert!(found.contains(&line), "{found}");

    // Nothing says what visitors get: neither is guessed.
    world.edit("[docs]\n", &format!("[adopt]\n{line}\n\n[docs]\n"));
    let open = world.deploy(&["plan"]).exits(64);
    assert!(open.contains("nothing says what its visitors get"), "{open}");

    world.edit("[docs]\n", &format!("[docs]\norigin = \"website\"\nwebsite = \"{host}\"\n"));
    let old = || {
        shows(&world, &id, "/index.html", (200, "the old index.html"));
        shows(&world, &id, "/nothing", (404, "the old 404.html"));
    };
    let new = |text: &str| {
        shows(&world, &id, "/", (200, &format!("{text} index.html")));
        shows(&world, &id, "/nothing.html", (404, &format!("{text} 404.html")));
    };
    old();
    world.deploy(&["apply", "--yes"]).succeeds();
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    let config = distribution(&world, &id);
    assert_eq!(serves(&config), (host.clone(), 0), "visitors get what they got");
    old();
    assert_eq!(config["Origins"]["Quantity"], 2, "whoever publishes finds the bucket: {config}");
    let preview = &config["CacheBehaviors"]["Items"][0];
    assert_eq!(preview["FunctionAssociations"]["Quantity"], 2, "and the store: {config}");
    assert_eq!(config["DefaultCacheBehavior"].get("ForwardedValues"), None);
    assert_eq!(inventory(&world)["distributions"], json!(["Coder documentation site"]));

    let clock = tokio::runtime::Runtime::new().unwrap();
    assert!(clock.block_on(publish(&world, &id, "the first")), "nobody gets it yet");
    old();

    // The switch is one change in place, and can be taken back.
    world.forget_calls();
    world.edit("origin = \"website\"", "origin = \"private\"");
    let planned = plan(&world);
    let steps = planned["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(steps[0]["undo"]["mark"], "reversible", "{steps:?}");
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(changes(&world), ["cloudfront:UpdateDistribution"]);
    let private = distribution(&world, &id);
    let (from, functions) = serves(&private);
    assert!(from.contains("seed-docs-") && from.ends_with(".s3.us-east-1.amazonaws.com"), "{from}");
    assert_eq!((functions, private["CacheBehaviors"]["Quantity"].as_i64()), (2, Some(0)));
    new("the first");
    world.edit("origin = \"private\"", "origin = \"website\"");
    world.deploy(&["apply", "--yes"]).succeeds();
    old();
    assert_eq!(serves(&distribution(&world, &id)), (host.clone(), 0), "back");

    // For good: without the website, and the claim has done its work.
    world.edit("origin = \"website\"\n", "");
    world.edit(&format!("website = \"{host}\"\n"), "");
    world.edit(&format!("[adopt]\n{line}\n"), "");
    world.deploy(&["apply", "--yes"]).succeeds();
    let config = distribution(&world, &id);
    assert_eq!((config["Origins"]["Quantity"].as_i64(), serves(&config).1), (Some(1), 2));
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    new("the first");
    assert!(!clock.block_on(publish(&world, &id, "the second")));
    new("the second");
    // The bucket of the website is nobody's but its owner's.
    let script = "print(boto3.client('s3', region_name='us-east-1').get_object(Bucket='coder-docs-BUCKET', Key='index.html')['Body'].read())";
    assert!(world.boto3(&script.replace("BUCKET", &bucket)).contains("the old"));
}
