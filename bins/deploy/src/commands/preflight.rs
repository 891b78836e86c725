//! `deploy preflight`: whether an apply can work, asked before anything is changed.

use super::{Run, plan};
use crate::{
    cli, clusters, document,
    failure::{Code, Failure},
    session::Session,
};
use causeway_aws::preflight::{Extent, Growth, Identity, Model, Preflight, Subject};
use causeway_config::Config;
use causeway_core::{
    engine::Planned,
    finding::{Finding, Verdict},
    plan::Action,
    wanted::Wanted,
};
use causeway_dns::provider::route53;
use causeway_k8s::litellm;
use causeway_stacks::{
    dns::{DnsAccount, DnsProvider},
    eks::Eks,
};
use std::collections::BTreeSet;

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: cli::Scope,
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    let work = async |session: &Session, planned: Planned| {
        let findings = findings(session, &planned, Extent::All).await;
        Ok((session.cloud.clone(), findings))
    };
    let (cloud, findings) = plan::planned(run, &flags.scope, work).await?;
    run.screen.say(&text(&findings));
    run.screen.say(&run.screen.news(code(&findings) == Code::Done, &summary(&findings)));
    let code = code(&findings);
    if run.screen.json() {
        run.screen.document(&document::done(run.name, code, document::Preflight { cloud, findings }));
    }
    Ok(code)
}

/// What is asked at the start of an apply: only what the plan touches, and only what takes few calls.
///
/// # Errors
/// An answer speaks against it.
pub(crate) async fn before(run: &Run<'_>, session: &Session, planned: &Planned) -> Result<(), Failure> {
    if planned.plan.is_empty() {
        return Ok(());
    }
    let mut findings = findings(session, planned, Extent::Touched).await;
    findings.retain(|f| f.verdict != Verdict::Passed);
    if findings.is_empty() {
        return Ok(());
    }
    run.screen.note_lines(&format!("\n{}", text(&findings)));
    match findings.iter().filter(|f| f.verdict == Verdict::Failed).count() {
        0 => Ok(()),
        failed => {
            let failure = Failure::new(
                Code::Refused,
                format!("preflight: {failed} of the answers speak against this; nothing was changed"),
            );
            let failure = findings
                .iter()
                .filter(|f| run.screen.json() && f.verdict == Verdict::Failed)
                .fold(failure, |failure, f| failure.hint(line(f)));
            Err(failure
                .hint("`deploy preflight` shows every answer; `--skip-preflight` applies all the same"))
        }
    }
}

/// What AWS says of `planned`, and what the API servers of its clusters say.
async fn findings(session: &Session, planned: &Planned, extent: Extent) -> Vec<Finding> {
    let wanted = planned.wanted(session.engine.registry());
    let sdk = session.sdk.clone();
    let connect = move |access| std::future::ready(clusters::connect(&sdk, &access));
    let objects = causeway_k8s::preflight::ask(planned, &wanted, connect);
    let (mut findings, objects) = tokio::join!(of(session, planned).run(extent), objects);
    findings.extend(objects);
    findings
}

/// A preflight of `planned`.
pub(crate) fn of(session: &Session, planned: &Planned) -> Preflight {
    let wanted = planned.wanted(session.engine.registry());
    // A session must outlast nearly all such runs, not only half of them.
    let takes = session.engine.estimate(planned).p90();
    let identity = Identity {
        account: session.cloud.account.clone(),
        principal: session.cloud.principal.clone(),
        session: session.lasts,
    };
    let hosts =
        session.file.config.ecs.iter().flat_map(|ecs| {
            [Some(ecs.host().to_owned()), ecs.wildcard_access_url.clone()].into_iter().flatten()
        });
    let models = models(&session.file.config, &wanted);
    let removed = planned.plan.steps.iter().filter(|s| s.action == Action::Delete);
    let in_route53 = |a: DnsAccount<'_>| a.provider == DnsProvider::Route53;
    let also = match session.file.config.dns_accounts().any(in_route53) {
        true => BTreeSet::from(route53::ACTIONS),
        false => BTreeSet::new(),
    };
    let subject = Subject {
        wanted,
        removed: removed.map(|s| (s.kind.clone(), s.action)).collect(),
        also,
        identity,
        hosts: hosts.collect(),
        growth: growth(&session.file.config),
        models,
        takes,
    };
    Preflight::new(&session.sdk, subject)
}

/// The nodes that Karpenter may make in each region.
fn growth(config: &Config) -> Vec<Growth> {
    let Some(eks) = &config.eks else { return vec![] };
    let Some(coder) = &eks.coder else { return vec![] };
    let pools = [
        ("server", &coder.nodes.server),
        ("provisioner", &coder.nodes.provisioner),
        ("workspaces", &coder.nodes.workspaces),
    ];
    let regions = eks.regions.keys().chain([&config.stack.region]);
    let of_region = |region: &String| {
        pools.map(|(name, pool)| Growth {
            region: region.clone(),
            name: format!("eks.coder.nodes.{name}"),
            instance_types: pool.instance_types.clone(),
            processors: f64::from(pool.cpus),
            spot: pool.spot,
        })
    };
    regions.flat_map(of_region).collect()
}

/// What LiteLLM is told to ask of Bedrock, where the plan touches it or its role.
fn models(config: &Config, wanted: &[Wanted]) -> Vec<Model> {
    let is_part = |one: &&Wanted| one.address.0.split('/').any(|part| part == "litellm");
    if !wanted.iter().filter(is_part).any(Wanted::is_touched) {
        return vec![];
    }
    let all = config.eks.iter().flat_map(Eks::language_models);
    let id = |model: &litellm::Model| model.id().strip_prefix("bedrock/").map(str::to_owned);
    all.filter_map(|model| Some(Model { id: id(&model)?, name: model.name, region: model.region })).collect()
}

fn code(findings: &[Finding]) -> Code {
    match findings.iter().map(|f| f.verdict).max() {
        Some(Verdict::Failed) => Code::Refused,
        Some(Verdict::Unreachable) => Code::Unavailable,
        _ => Code::Done,
    }
}

fn text(findings: &[Finding]) -> String {
    findings.iter().map(|f| format!("{}\n", line(f))).collect()
}

fn line(finding: &Finding) -> String {
    let sign = match finding.verdict {
        Verdict::Passed => '+',
        Verdict::Warning => '~',
        Verdict::NotAsked | Verdict::Unreachable => '?',
        Verdict::Failed => '!',
    };
    let mut out = format!("{sign} {}  {}: {}", finding.check, finding.asked, finding.answer);
    if let Some(remedy) = &finding.remedy {
        out.push_str(&format!("\n      {remedy}"));
    }
    out
}

/// How many of each, without those that there are none of.
fn summary(findings: &[Finding]) -> String {
    let count = |verdicts: &[Verdict]| findings.iter().filter(|f| verdicts.contains(&f.verdict)).count();
    let all = [
        (count(&[Verdict::Failed]), "against an apply"),
        (count(&[Verdict::Warning]), "to be looked at"),
        (count(&[Verdict::NotAsked, Verdict::Unreachable]), "not known"),
        (count(&[Verdict::Passed]), "good"),
    ];
    let told: Vec<String> =
        all.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    format!("Preflight: {}. Nothing was changed.", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: Verdict) -> Finding {
        Finding {
            check: "image",
            asked: "whether it is there".into(),
            verdict,
            answer: "it is not".into(),
            remedy: (verdict != Verdict::Passed).then(|| "push it".into()),
        }
    }

    #[test]
    fn the_pools_of_every_region_may_grow() {
        let example = include_str!("../../../../examples/ai-coder.toml");
        let config = Config::parse("causeway.toml", example).unwrap();
        let growth = growth(&config);
        let regions: BTreeSet<&str> = growth.iter().map(|g| g.region.as_str()).collect();
        assert_eq!(Vec::from_iter(regions), ["eu-west-2", "us-east-2", "us-west-2"]);
        let workspaces = growth.iter().find(|g| g.name == "eks.coder.nodes.workspaces").unwrap();
        assert!(growth.len() == 9 && workspaces.spot && workspaces.processors > 0.0);
        let without = example.split("[eks.coder]").next().unwrap();
        assert!(super::growth(&Config::parse("causeway.toml", without).unwrap()).is_empty());
    }

    #[test]
    fn the_worst_answer_decides() {
        let code = |verdicts: &[Verdict]| code(&verdicts.iter().map(|v| finding(*v)).collect::<Vec<_>>());
        assert_eq!(code(&[]), Code::Done);
        assert_eq!(code(&[Verdict::Passed, Verdict::Warning, Verdict::NotAsked]), Code::Done);
        assert_eq!(code(&[Verdict::NotAsked, Verdict::Unreachable]), Code::Unavailable);
        assert_eq!(code(&[Verdict::Unreachable, Verdict::Failed]), Code::Refused);
    }

    #[test]
    fn a_line_has_what_was_asked_the_answer_and_the_remedy() {
        assert_eq!(line(&finding(Verdict::Failed)), "! image  whether it is there: it is not\n      push it");
        let told = summary(&[finding(Verdict::Failed), finding(Verdict::Passed)]);
        assert_eq!(told, "Preflight: 1 against an apply, 1 good. Nothing was changed.");
    }
}
