//! Web ACLs and what they stand in front of, in the sandbox.
#![cfg(feature = "wafv2")]

use crate::by_hand::One;
use crate::changes::life;
use causeway_aws::{
    id::Arn,
    wafv2::{ManagedRuleGroup, WebAcl, WebAclAssociation},
};
use causeway_core::{Name, Set, Tags};

const ACCOUNT: &str = "000000003106";

fn acl() -> WebAcl {
    WebAcl {
        name: Name::generated("coder"),
        description: Some("in front of Coder".into()),
        managed_rule_groups: vec![ManagedRuleGroup::common()],
        rate_limit: Some(2000),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
    }
}

fn acl_changes() -> Vec<(WebAcl, &'static [&'static str])> {
    let bad_inputs =
        ManagedRuleGroup { name: "AWSManagedRulesKnownBadInputsRuleSet".into(), count: Set::default() };
    let one = WebAcl {
        managed_rule_groups: vec![ManagedRuleGroup::common(), bad_inputs],
        rate_limit: None,
        tags: Tags::from([("team", "other")]),
        ..acl()
    };
    vec![(one, &["managed_rule_groups", "rate_limit", "tags.cost", "tags.team"])]
}

fn association(acl: &Arn) -> WebAclAssociation {
    let balancer =
        "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188";
    WebAclAssociation { web_acl_arn: acl.clone().into(), resource_arn: Arn::from(balancer).into() }
}

#[tokio::test]
async fn web_acls_live_and_die() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    life(One::new(&aws, &format!("acl{}", std::process::id())), acl(), acl_changes()).await;
}

#[tokio::test]
async fn associations_live_and_die() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let [one, two] = ["one", "two"].map(|name| format!("{name}{}", std::process::id()));
    let (mut first, mut second) = (One::new(&aws, &one), One::new(&aws, &two));
    let (a, b) = (first.apply(&acl()).await.0.outputs, second.apply(&acl()).await.0.outputs);
    life(One::new(&aws, "association"), association(&a.arn), vec![(association(&b.arn), &["web_acl_arn"])])
        .await;
    first.delete(&acl()).await;
    second.delete(&acl()).await;
}
