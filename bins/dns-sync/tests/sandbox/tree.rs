//! What the program is made of.

use std::process::Command;

/// Whoever has no zone and no load balancer at AWS compiles nothing of it (issue 6, D 5).
#[test]
fn without_features_nothing_of_aws_is_in_it() {
    let crates = |features: &[&str]| {
        let mut tree = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        tree.args(["tree", "--package", "dns-sync", "--edges", "normal", "--prefix", "none", "--offline"]);
        tree.args(features).current_dir(env!("CARGO_MANIFEST_DIR"));
        // As people build it, whatever this build has in common with others.
        tree.env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
            .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION");
        let output = tree.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let aws = text.lines().filter(|line| line.starts_with("aws-") && !line.starts_with("aws-lc"));
        aws.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(crates(&[]), [""; 0]);
    let all = crates(&["--features", "route53"]);
    assert!(all.iter().any(|line| line.starts_with("aws-sdk-route53 ")), "it is looked for rightly: {all:?}");
}
