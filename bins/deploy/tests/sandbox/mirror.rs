//! `mirror`, from the registry of one account into that of another: both real ones.

use crate::world::World;
use causeway_sandbox::shared;
use serde_json::Value as Json;

const ONE_REGION: &str = include_str!("../../../../examples/single-region.toml");
const PUSH: &str = include_str!("push.py");

/// Where images are from, and where they go.
struct Two {
    others: World,
    ours: World,
    from: String,
}

impl Two {
    fn new(number: u64) -> Self {
        let (others, ours) = (World::with(number, ONE_REGION), World::with(number + 1, ONE_REGION));
        let from = registry(number, "us-east-1");
        ours.write("auth.json", &format!(r#"{{"auths": {{"{from}": {{"auth": "QVdTOmNhbmFyeQ=="}}}}}}"#));
        Two { others, ours, from }
    }

    /// Puts an image for two processors into the registry of others, and answers with its digest.
    fn push(&self, name: &str, tag: &str, more: &str) -> String {
        let script = format!(
            "import sys\nsys.argv = ['', 'http://{}', '{name}', '{tag}', '{more}']\n{PUSH}",
            self.from
        );
        self.others.boto3(&script).trim().to_owned()
    }

    fn repository(&self, name: &str, mutability: &str) {
        self.ours.boto3(&format!(
            "boto3.client('ecr', region_name='us-east-2').create_repository(repositoryName='{name}', imageTagMutability='{mutability}')"
        ));
    }

    /// What it said, after it ended with this code.
    fn ends(&self, code: i32, flags: &[&str]) -> String {
        let mut command = self.ours.command(env!("CARGO_BIN_EXE_deploy"));
        command.env("REGISTRY_AUTH_FILE", self.ours.folder().join("auth.json"));
        let output = command.args(flags).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.concat();
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {text}");
        assert!(!text.contains("canary"), "a password was told: {text}");
        text
    }

    /// What our repository has under its tags.
    fn tags(&self, name: &str) -> Json {
        let script = format!(
            "import json\nall = boto3.client('ecr', region_name='us-east-2').describe_images(repositoryName='{name}')['imageDetails']\n\
             print(json.dumps({{tag: one['imageDigest'] for one in all for tag in one.get('imageTags', [])}}))"
        );
        serde_json::from_str(&self.ours.boto3(&script)).unwrap()
    }
}

fn registry(number: u64, region: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = runtime.block_on(shared().unwrap().fakecloud(&format!("{number:012}"), region)).unwrap();
    url.trim_start_matches("http://").to_owned()
}

#[test]
fn images_of_others_are_copied_by_digest_for_all_platforms() {
    let two = Two::new(7301);
    let coder = two.push("coder/coder-preview", "v1", "");
    let base = two.push("workspaces/base", "noble", "");
    let from = &two.from;
    two.ours.write(
        "causeway.lock",
        &format!("format = 1\n[images.coder]\nversion = \"v1\"\nimage = \"{from}/coder/coder-preview\"\n"),
    );
    let said = two.ends(64, &["mirror"]);
    assert!(said.contains("nothing says which images") && said.contains("[eks.registry.mirror]"), "{said}");
    two.ours.edit(
        "[eks.database]",
        &format!(
            "[eks.registry.mirror]\nbase-ws = [\"{from}/workspaces/base:noble\"]\ncoder-preview = [\"lock:coder\"]\n\n[eks.database]"
        ),
    );
    let said = two.ends(69, &["mirror"]);
    assert!(said.contains("ECR of us-east-2 has no repository base-ws, coder-preview"), "{said}");
    two.repository("base-ws", "MUTABLE");
    two.repository("coder-preview", "IMMUTABLE");
    let said = two.ends(64, &["mirror", "goose-ws"]);
    assert!(said.contains("nothing is copied into a repository `goose-ws`"), "{said}");

    let said = two.ends(2, &["mirror", "--dry-run"]);
    assert_eq!(said.matches("would go").count(), 2, "{said}");
    assert_eq!(two.tags("base-ws"), serde_json::json!({}));
    let said = two.ends(0, &["mirror", "base-ws"]);
    assert!(said.contains("+ ") && said.contains("base-ws:noble  sha256:"), "{said}");
    assert_eq!(two.tags("coder-preview"), serde_json::json!({}), "another than was asked for");
    two.ends(0, &["mirror"]);
    assert_eq!(two.tags("base-ws"), serde_json::json!({ "noble": base }));
    assert_eq!(two.tags("coder-preview"), serde_json::json!({ "v1": coder }));
    let said = two.ends(0, &["mirror", "--dry-run"]);
    assert_eq!(said.matches("= ").count(), 2, "{said}");

    // Whoever pulls by its digest gets all platforms of it, and the same bytes.
    let host = registry(7302, "us-east-2");
    for digest in [&coder, &base] {
        let name = if *digest == coder { "coder-preview" } else { "base-ws" };
        let script = format!(
            "import urllib.request, json, hashlib\n\
             def get(path):\n    request = urllib.request.Request('http://{host}/v2/{name}/' + path, headers={{'Authorization': 'Basic QVdTOmE='}})\n    \
             return urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(request).read()\n\
             top = get('manifests/{digest}')\nassert 'sha256:' + hashlib.sha256(top).hexdigest() == '{digest}'\n\
             for one in json.loads(top)['manifests']:\n    image = json.loads(get('manifests/' + one['digest']))\n    \
             for part in [image['config'], *image['layers']]:\n        \
             assert 'sha256:' + hashlib.sha256(get('blobs/' + part['digest'])).hexdigest() == part['digest']\n    \
             print(one['platform']['architecture'])\n"
        );
        assert_eq!(two.ours.boto3(&script).split_whitespace().collect::<Vec<_>>(), ["amd64", "arm64"]);
    }

    // A tag is moved by others: ours follows where it may, and what it stood for stays there.
    let newer = two.push("workspaces/base", "noble", "newer");
    two.push("coder/coder-preview", "v1", "newer");
    let said = two.ends(100, &["mirror"]);
    assert!(said.contains("~ ") && said.contains("lets the tag of the image coder-preview:v1 be"), "{said}");
    assert_eq!(two.tags("base-ws"), serde_json::json!({ "noble": newer }));
    assert_eq!(two.tags("coder-preview"), serde_json::json!({ "v1": coder }), "a tag that stays");
    let copy = format!("base-ws={from}/workspaces/base:noble@{base}");
    two.ends(0, &["mirror", "--copy", &copy, "--region", "us-east-2"]);
    assert_eq!(two.tags("base-ws"), serde_json::json!({ "noble": base }), "back to what was before");
}

#[test]
fn nothing_is_copied_during_a_freeze() {
    let two = Two::new(7303);
    two.push("workspaces/base", "noble", "");
    two.repository("base-ws", "MUTABLE");
    let copy = format!("base-ws={}/workspaces/base:noble", two.from);
    let day =
        r#"{"name": "summit", "zone": "UTC", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}"#;
    let flags = ["mirror", "--copy", &copy, "--region", "us-east-2", "--freeze", day];
    let said = two.ends(101, &flags);
    assert!(said.contains("nothing is to be changed during `summit`"), "{said}");
    two.ends(0, &[&flags[..], &["--scheduled"]].concat());
    assert_eq!(two.tags("base-ws"), serde_json::json!({}));
    two.ends(0, &[&flags[..], &["--during-freeze", "the old one has a hole"]].concat());
    assert_eq!(two.tags("base-ws").as_object().unwrap().len(), 1);
    // By hand the calendar is that of the file.
    let base = format!("[eks.registry.mirror]\nbase-ws = [\"{}/workspaces/base:noble\"]\n", two.from);
    let freeze = "[[guard.freeze]]\nname = \"summit\"\nzone = \"UTC\"\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n";
    two.ours.edit("[eks.database]", &format!("{base}\n{freeze}\n[eks.database]"));
    assert!(two.ends(101, &["mirror"]).contains("`summit`"));
}
