//! Whether the account's quotas leave room for the nodes that come when pods ask for them, and are in no plan. What does not
//! fit keeps no apply from working: pods wait, and nobody sees why.

use super::{
    Finding, Preflight,
    quotas::{is_standard, limit, number, processors_of_machines, processors_that_run},
};
use crate::Aws;
use aws_sdk_ec2::types::{Instance, InstanceLifecycleType};
use causeway_core::Error;

/// Machines that something else than a plan makes, up to a limit.
#[derive(Clone, Debug)]
pub struct Growth {
    /// Where.
    pub region: String,
    /// What people know them by, like `eks.coder.nodes.workspaces`.
    pub name: String,
    /// They are of any of these types.
    pub instance_types: Vec<String>,
    /// How many vCPUs all of them may have together.
    pub processors: f64,
    /// Whether EC2 may take them back, which has a quota of its own.
    pub spot: bool,
}

/// The tag of what Karpenter has made, which is part of what it may make.
const GROWN: &str = "karpenter.sh/nodepool";

/// What a quota is about.
struct Market {
    spot: bool,
    what: &'static str,
    code: &'static str,
}

const MARKETS: [Market; 2] = [
    Market { spot: false, what: "on-demand", code: "L-1216C47A" },
    Market { spot: true, what: "spot", code: "L-34B43A08" },
];

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![];
    for (region, aws) in &preflight.clients {
        for market in &MARKETS {
            let grows = preflight.growth.iter().filter(|growth| {
                let standard = growth.instance_types.iter().any(|kind| is_standard(kind));
                growth.region == *region && growth.spot == market.spot && standard
            });
            let grows: Vec<&Growth> = grows.collect();
            if !grows.is_empty() {
                findings.push(ask(preflight, aws, market, &grows).await?);
            }
        }
    }
    Ok(findings)
}

async fn ask(preflight: &Preflight, aws: &Aws, market: &Market, grows: &[&Growth]) -> Result<Finding, Error> {
    let names: Vec<&str> = grows.iter().map(|growth| growth.name.as_str()).collect();
    let most: f64 = grows.iter().map(|growth| growth.processors).sum();
    let asked = format!(
        "whether the quota leaves room for the {} {} vCPUs that {} may grow to in {}",
        number(most),
        market.what,
        names.join(" and "),
        aws.region
    );
    let limit = match limit(&aws.quotas, "ec2", market.code).await {
        Ok(Some(limit)) => limit,
        Ok(None) => {
            let answer = format!("Service Quotas does not know {} of ec2", market.code);
            return Ok(Finding::not_asked(asked, answer, "look at Service Quotas by hand"));
        }
        Err(error) => return Ok(Finding::not_answered(asked, &error)),
    };
    let others = |machine: &Instance| {
        let spot = machine.instance_lifecycle() == Some(&InstanceLifecycleType::Spot);
        spot == market.spot && !machine.tags().iter().any(|tag| tag.key() == Some(GROWN))
    };
    let used = processors_that_run(aws, others).await?;
    let planned = processors_of_machines(preflight, aws, market.spot).await?;
    Ok(judge(asked, market, &names, limit, used + planned, most))
}

fn judge(asked: String, market: &Market, names: &[&str], limit: f64, others: f64, most: f64) -> Finding {
    let answer = format!("{} are allowed, {} of them for other machines", number(limit), number(others));
    if others + most <= limit {
        return Finding::passed(asked, answer);
    }
    let limits: Vec<String> = names.iter().map(|name| format!("`{name}.cpus`")).collect();
    let remedy = format!(
        "pods will wait for nodes once it is used up: lower {}, or ask for more: `aws service-quotas \
         request-service-quota-increase --service-code ec2 --quota-code {} --desired-value {}`",
        limits.join(" or "),
        market.code,
        (others + most).ceil()
    );
    Finding::warning(asked, answer, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::finding::Verdict;

    #[test]
    fn what_does_not_fit_is_a_warning_that_names_what_to_lower() {
        let judge = |limit| judge(String::new(), &MARKETS[1], &["nodes.a", "nodes.b"], limit, 6.0, 640.0);
        assert_eq!(judge(646.0).verdict, Verdict::Passed);
        let full = judge(640.0);
        assert_eq!(
            (full.verdict, full.answer.as_str()),
            (Verdict::Warning, "640 are allowed, 6 of them for other machines")
        );
        let remedy = full.remedy.unwrap();
        assert!(remedy.contains("`nodes.a.cpus` or `nodes.b.cpus`"), "{remedy}");
        assert!(remedy.contains("--quota-code L-34B43A08 --desired-value 646`"), "{remedy}");
    }
}
