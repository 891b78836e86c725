//! What AWS would refuse only in the middle of a run: names, ARNs, addresses and pairs of settings that exclude each
//! other.

use super::config::{Deployment, Ecs, Network, Strategy};
use crate::{
    config::{Problem, SecretSource, StackConfig},
    legal,
};
use std::collections::BTreeSet;

/// Everything in `config` that AWS would refuse for how it is written.
pub(super) fn problems(config: &Ecs, common: &StackConfig) -> Vec<Problem> {
    let mut out = vec![];
    image(config, &mut out);
    arns(config, &common.region, &mut out);
    let database = &config.database;
    out.extend(legal::postgres("ecs.database", &database.version, &database.instance_class));
    out.extend(legal::storage("ecs.database", database.storage, database.max_storage));
    network(&config.network, &mut out);
    deployment(&config.deployment, &mut out);
    out.extend(legal::variables([
        ("ecs.environment", config.environment.keys().collect()),
        ("ecs.secrets", config.secrets.keys().collect()),
    ]));
    alarms(config, &mut out);
    if let Some(url) = config.docs_url.as_deref()
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        let help = "write it as a browser takes it, like `https://docs.example.com`";
        out.push(Problem::at("ecs.docs_url", format!("`{url}` is not a URL"), help));
    }
    out.extend(config.dns.problems("ecs.dns"));
    out
}

fn image(config: &Ecs, out: &mut Vec<Problem>) {
    out.extend(legal::repository("ecs.image.repository", &config.image.repository));
    out.extend(legal::image_tag("ecs.image.version", &config.image.version));
    if config.image.source.is_some() && config.image.digest.is_some() {
        out.push(Problem::at(
            "ecs.image.digest",
            "there is both a `source` and a `digest`",
            "remove `digest`: what is pushed from the folder has the digest that the folder says; or remove `source` \
             to run an image that is in the repository already",
        ));
    }
}

fn arns(config: &Ecs, region: &str, out: &mut Vec<Problem>) {
    let certificate = legal::Arn {
        service: "acm",
        region: Some((region, legal::STACK)),
        resource: "certificate/",
        example: "`arn:aws:acm:us-east-1:123456789012:certificate/..`, of the stack's own region",
    };
    let acl = legal::Arn {
        service: "wafv2",
        region: Some((region, legal::STACK)),
        resource: "regional/webacl/",
        example: "`arn:aws:wafv2:us-east-1:123456789012:regional/webacl/NAME/ID`, of the stack's own region and not of \
                  CloudFront",
    };
    let named = [
        ("ecs.dns.certificate_arn", config.dns.certificate_arn.as_ref(), certificate),
        ("ecs.waf.web_acl_arn", config.waf.as_ref().map(|w| &w.web_acl_arn), acl),
    ];
    for (path, arn, kind) in named {
        if let Some(message) = arn.and_then(|arn| kind.refuses(arn)) {
            out.push(Problem::at(path, message, format!("it looks like {}", kind.example)));
        }
    }
    let secret = legal::Arn {
        service: "secretsmanager",
        region: None,
        resource: "secret:",
        example: "`aws-secret:arn:aws:secretsmanager:us-east-1:123456789012:secret:NAME-AbCdEf`",
    };
    for (name, source) in &config.secrets {
        let SecretSource::Aws { id, key } = source else { continue };
        let at = |message: String, help: String| Problem::at("ecs.secrets", message, help).key(name);
        // That a plain name is refused is said where the names of variables are looked at.
        if id.starts_with("arn:")
            && let Some(message) = secret.refuses(id)
        {
            out.push(at(message, format!("it looks like {}", secret.example)));
        }
        if key.as_ref().is_some_and(|key| key.is_empty() || key.contains(':')) {
            let message = format!("`{source}` names no key inside the secret");
            out.push(at(
                message,
                "write the key after `#`, or leave the `#` out to take the whole secret".into(),
            ));
        }
    }
}

fn network(network: &Network, out: &mut Vec<Problem>) {
    if network.vpc != "new" && network.cidr != Network::default().cidr {
        out.push(Problem::at(
            "ecs.network.cidr",
            format!("`cidr` is for a new VPC, and `vpc` is `{}`", network.vpc),
            "remove `cidr`: the network that is there has its addresses already",
        ));
    }
    let id = network.vpc.strip_prefix("vpc-");
    if id.is_some_and(|id| id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit())) {
        out.push(Problem::at(
            "ecs.network.vpc",
            format!("`{}` is not the id of a VPC", network.vpc),
            "ids look like `vpc-0a1b2c3d4e5f67890`; `aws ec2 describe-vpcs` shows them",
        ));
    }
    if network.allow.is_empty() {
        out.push(Problem::at(
            "ecs.network.allow",
            "nobody may reach the load balancer",
            "name who may, like `[\"203.0.113.0/24\"]`; left out, everybody may",
        ));
    }
    let mut seen = BTreeSet::new();
    for cidr in network.allow.iter().filter(|c| !seen.insert(c.as_str())) {
        let message = format!("`{cidr}` is there twice");
        out.push(Problem::at(
            "ecs.network.allow",
            message,
            "once is enough, and EC2 refuses the second rule",
        ));
    }
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html>
fn deployment(deployment: &Deployment, out: &mut Vec<Problem>) {
    let Some(minutes) = deployment.bake_time else { return };
    if deployment.strategy == Strategy::Rolling {
        out.push(Problem::at(
            "ecs.deployment.bake_time",
            "a rolling deployment has no bake time",
            "write `strategy = \"blue_green\"`, or remove `bake_time`",
        ));
    } else if minutes > 1440 {
        out.push(Problem::at(
            "ecs.deployment.bake_time",
            format!("{minutes} minutes are more than ECS waits"),
            "0 to 1440 minutes, which are a day",
        ));
    }
}

fn alarms(config: &Ecs, out: &mut Vec<Problem>) {
    for name in config.alarms.keys() {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 200 || !name.chars().all(legal) {
            let message = format!("`{name}` cannot be the name of an alarm");
            out.push(
                Problem::at("ecs.alarms", message, "letters, digits, hyphens and underscores").key(name),
            );
        }
    }
    for email in config.notify.iter().flat_map(|n| &n.emails) {
        let fits = email.split_once('@').is_some_and(|(who, host)| {
            !who.is_empty()
                && host.contains('.')
                && !host.contains('@')
                && !email.contains(char::is_whitespace)
        });
        if !fits {
            let help = "write it like `ops@example.com`";
            out.push(Problem::at("ecs.notify.emails", format!("`{email}` is not a mail address"), help));
        }
    }
}
