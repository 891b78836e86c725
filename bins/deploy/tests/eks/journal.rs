//! Where the journal is if the file does not say.

use crate::{examples::SINGLE_REGION, world::World};
use serde_json::Value as Json;

/// One machine applies, another goes on: nothing is kept on either.
#[test]
fn the_journal_is_in_a_bucket_of_the_account_that_the_first_apply_makes() {
    const BUCKET: &str = "causeway-000000007110-us-east-2";
    let only = ["--only", "us-east-2/registry/*"];
    let (one, other) = (World::with(7110, SINGLE_REGION), World::again(7110, SINGLE_REGION));
    for world in [&one, &other] {
        world.configure(SINGLE_REGION);
    }
    let told = one.deploy(&[&["plan"], &only[..]].concat()).succeeds();
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(&format!("The bucket `{BUCKET}` for the journal does not exist yet")), "{told}");
    one.deploy(&[&["apply", "--yes"], &only[..]].concat()).succeeds();
    let nothing = other.deploy(&[&["plan", "--detailed-exitcode"], &only[..]].concat()).succeeds();
    assert!(nothing.contains("Nothing to do"), "{nothing}");
    let history = other.deploy(&["history"]).succeeds();
    assert!(history.contains("us-east-2/registry/base-ws"), "{history}");
    other.deploy(&["state", "unlock"]).succeeds();
    assert!(!one.has_local_journal() && !other.has_local_journal());
    let bucket: Json = serde_json::from_str(&one.boto3(&format!(
        "import json\n\
         s3 = boto3.client('s3', region_name='us-east-2')\n\
         keys = [one['Key'] for one in s3.list_objects_v2(Bucket='{BUCKET}')['Contents']]\n\
         print(json.dumps([s3.get_bucket_versioning(Bucket='{BUCKET}')['Status'], keys]))"
    )))
    .unwrap();
    assert_eq!(bucket[0], "Enabled");
    let keys: Vec<&str> = bucket[1].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    assert!(keys.iter().any(|key| key.starts_with("coder/entries/")), "{keys:?}");
}
