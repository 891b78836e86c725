//! What cannot work in `[eks.coder]` is told when the file is read.

use crate::EXAMPLE;
use causeway_config::Config;

/// An edit of the example, what is said about it, and where to go from there.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("access_url = \"https://ai", "access_url = \"http://ai", "does not start with https://", "over TLS"),
    ("\"https://ai.example.com\"", "\"https://ai.example.com:8443\"", "is not a bare host", "without a port"),
    ("\"*.ai.example.com\"", "\"https://*.ai.example.com\"", "is not a wildcard name", "a star and a name"),
    ("url = \"https://llm.ai.example.com\"", "", "nobody can reach LiteLLM", "name its address"),
    ("route53_zones = [\"Z0123456789ABCDEFGHIJ\"]", "", "names are proved to be yours", "cloudflare_token"),
    (
        "[eks.coder.certificates]",
        "[eks.coder.dns]\nprovider = \"cloudflare\"\nzone = \"example.org\"\ntoken = \"env:T\"\n\n[eks.coder.certificates]",
        "`ai.example.com` is not in the zone `example.org`",
        "choose a name in it",
    ),
    (
        "[eks.coder.certificates]",
        "[eks.coder.dns]\nprovider = \"cloudflare\"\nzone = \"example.com\"\n\n[eks.coder.certificates]",
        "there is no token for Cloudflare",
        "CLOUDFLARE_API_TOKEN",
    ),
    (
        "[eks.coder.certificates]",
        "[eks.coder.dns]\nprovider = \"route53\"\nzone = \"ai.example.com\"\n\n[eks.coder.certificates]",
        "`ai.example.com` is the zone itself",
        "a name below it",
    ),
    (
        "[eks.coder.certificates]",
        "[eks.coder.dns]\nprovider = \"route53\"\nzone = \"example.com\"\ntoken = \"env:T\"\n\n[eks.coder.certificates]",
        "a zone at Route 53 has no `token`",
        "take it out",
    ),
    (
        "email = \"platform@example.com\"",
        "email = \"platform\"",
        "`platform` is not an address",
        "Let's Encrypt",
    ),
    (
        "[eks.coder.organizations.demo]",
        "[eks.coder.organizations.Demo]",
        "`coder-ws-Demo` cannot be",
        "lowercase",
    ),
    (
        "[eks.coder.organizations.demo]",
        "[eks.coder.organizations.demo]\nnamespace = \"kube-system\"",
        "is for others",
        "like `coder-ws`",
    ),
    (
        "[eks.coder.organizations.demo]",
        "[eks.coder.organizations.demo]\nnamespace = \"coder-ws\"",
        "of `coder` too",
        "of its own",
    ),
    (
        "provisioners = 2",
        "provisioners = 0\nprovisioner_key = \"env:KEY\"",
        "and there are none",
        "6 is the default",
    ),
    ("[eks.coder]\n", "[eks.coder]\nreplicas = 0\n", "without a server there is no Coder", "licence"),
    (
        "[eks.coder]\n",
        "[eks.coder]\nnodes = { al2023 = \"latest\" }\n",
        "is not a release of Amazon Linux",
        "not `latest`",
    ),
    (
        "[eks.coder]\n",
        "[eks.coder]\nnodes = { bottlerocket = \"1.57\" }\n",
        "is not a release of Bottlerocket",
        "v1.57.0",
    ),
    (
        "[eks.coder]\n",
        "[eks.coder]\nnodes = { server = { instance_types = [\"large\"], spot = false, cpus = 4, memory = 0, disk = 10 } }\n",
        "`large` is not a type of EC2",
        "m6a.xlarge",
    ),
    (
        "[eks.coder]\n",
        "[eks.coder]\nenvironment = { CODER_PG_URL = \"x\" }\n",
        "Coder does not know",
        "CODER_PG_CONNECTION_URL",
    ),
    (
        "[eks.coder]\n",
        "[eks.coder]\nenvironment = { CODER_PG_CONNECTION_URL = \"x\" }\n",
        "is set by the stack",
        "remove it",
    ),
    (
        "[eks.coder]\n",
        "[eks.coder]\nsecrets = { CODER_OIDC_CLIENT_SECRET = \"hunter2\" }\n",
        "a secret is named, not written",
        "env:NAME",
    ),
    (
        "# [eks.regions.us-west-2.proxy]\n# access_url = \"https://oregon.ai",
        "[eks.regions.us-west-2.proxy]\nsession_token = \"env:T\"\naccess_url = \"https://ai",
        "is that of `eks.coder` too",
        "a name of its own",
    ),
    (
        "[eks.coder]\n",
        "[eks.registry.mirror]\ncoder = [\"ghcr.io/coder/coder:v1\"]\n[eks.coder]\n",
        "the stack has no repository `coder`",
        "add it to `repositories`",
    ),
    (
        "[eks.coder]\n",
        "[eks.registry.mirror]\nbase-ws = [\"ghcr.io/coder/coder\"]\n[eks.coder]\n",
        "`ghcr.io/coder/coder` is no image",
        "lock:NAME",
    ),
    (
        "[eks.coder]\n",
        "[eks.registry.mirror]\nbase-ws = [\"ghcr.io/coder/coder:latest\"]\n[eks.coder]\n",
        "moves, and tags of the stack's repositories stay",
        "immutable_tags = false",
    ),
    (
        "[eks.coder]\n",
        "[eks.registry.mirror]\nbase-ws = [\"a.b/a:1\", \"a.b/b:1\"]\n[eks.coder]\n",
        "would both be `base-ws:1`",
        "a repository of its own",
    ),
    (
        "[eks.coder]\n",
        "[eks.registry.mirror]\nbase-ws = [\"lock:codr\"]\n[eks.coder]\n",
        "has no image `codr`",
        "logstream",
    ),
    ("[eks.coder]\n", "[eks.coder]\nload_balancer = { from = [\"10.0.0.1/8\"] }\n", "is not a range", "CIDR"),
];

#[test]
fn each_is_told_with_what_to_do() {
    Config::parse("causeway.toml", EXAMPLE).unwrap();
    for (from, to, says, help) in WRONG {
        assert!(EXAMPLE.contains(from), "{from}");
        let text = EXAMPLE.replacen(from, to, 1);
        let told = Config::parse("causeway.toml", &text).map(drop).unwrap_err().render(400, false);
        assert!(told.contains(says) && told.contains(help), "{to}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_proxy_without_coder_is_refused() {
    let text = EXAMPLE.split("\n[eks.coder]\n").next().unwrap();
    let proxy =
        "[eks.regions.us-west-2.proxy]\naccess_url = \"https://o.example.com\"\nsession_token = \"env:T\"\n";
    let told =
        Config::parse("causeway.toml", &format!("{text}\n{proxy}")).map(drop).unwrap_err().render(400, false);
    assert!(told.contains("a proxy of which Coder?"), "{told}");
}
