//! Whether the hosted zone is there, and who has to know of it.

use super::{Finding, Preflight};
use crate::{
    Call,
    route53::{ExistingHostedZone, HostedZone},
};
use causeway_core::{Error, plan::Action};

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![];
    for (wanted, zone, aws) in preflight.all::<ExistingHostedZone>() {
        let asked = format!("whether a hosted zone holds {}", zone.name);
        let Some(outputs) = wanted.outputs::<ExistingHostedZone>() else {
            let remedy = "correct `zone` under [ecs.dns], or let the stack make it with `create_zone = true`";
            findings.push(Finding::failed(asked, "no zone of this account does", remedy));
            continue;
        };
        let name = &outputs.zone_name;
        let found = aws.route53.get_hosted_zone().id(outputs.zone_id.as_str()).send().await;
        let servers = found.call("route53:GetHostedZone")?.delegation_set;
        let servers = servers.map(|set| set.name_servers.join(", ")).unwrap_or_default();
        findings.push(Finding::passed(asked, format!("{} does: {}", name, outputs.zone_id)));
        findings.push(Finding::not_asked(
            format!("whether the world asks the servers of {name}"),
            "AWS does not know whom the registrar names",
            format!("compare `dig +short NS {name}` with {servers}"),
        ));
    }
    for (wanted, zone, _) in preflight.all::<HostedZone>() {
        if wanted.action == Action::Create && zone.vpc.is_none() {
            findings.push(Finding::warning(
                format!("whether the world asks the servers of {}", zone.name),
                "this plan makes the zone, so nobody can know it yet, and a certificate waits for that",
                "while apply waits, enter the output `name_servers` where the domain is registered",
            ));
        }
    }
    Ok(findings)
}
