//! cert-manager, which answers ACME challenges in Route 53.

use super::{Site, anywhere, on};
use causeway_aws::policy::PolicyDocument;
use causeway_core::{Value, text};

/// May write the TXT records of challenges into `zones`, by their ids; into all of the account if none is named.
/// <https://cert-manager.io/docs/configuration/acme/dns01/route53/>
pub(in crate::eks) fn cert_manager(site: &Site, zones: &[String]) -> PolicyDocument {
    let any = ["*".to_owned()];
    let zones = if zones.is_empty() { &any } else { zones };
    let zones: Vec<Value<String>> =
        zones.iter().map(|zone| text!("arn:", site.partition, ":route53:::hostedzone/", zone)).collect();
    let change = [text!("arn:", site.partition, ":route53:::change/*")];
    PolicyDocument::new([
        on("WaitForChanges", &["route53:GetChange"], change),
        on("ListRecords", &["route53:ListResourceRecordSets"], zones.clone()),
        on("AnswerChallenges", &["route53:ChangeResourceRecordSets"], zones).when(
            "ForAllValues:StringEquals",
            "route53:ChangeResourceRecordSetsRecordTypes",
            ["TXT"],
        ),
        anywhere("FindZones", &["route53:ListHostedZonesByName"]),
    ])
}
