//! `deploy plan`: what apply would do.

use super::{Run, apply, bootstrap, html::Sheet, rehearsal, saved};
use crate::{
    cli::{self, Part, Scope},
    clusters, document,
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::{
    Address, Stack,
    away::Away,
    engine::Planned,
    guard::{Rules, guard},
    journal::State,
    plan::{PlanOptions, REGION, selects},
    render,
    saved::{Permitted, SavedPlan},
    signature::SigningKey,
};
use causeway_cost::Table;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) async fn run(run: &Run<'_>, flags: &cli::Plan) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let key = flags.sign.as_deref().map(saved::signing_key).transpose()?;
    let stack = match flags.destroy {
        true => Stack::new(&file.config.stack.name),
        false => file.stack(&file.given(&session::environment)?)?,
    };
    let options = options(run, &flags.scope, &stack)?;
    let work = async |session: &Session| show(run, session, stack, options, key, flags).await;
    Session::within(run.global, file, run.screen, work).await
}

async fn show(
    run: &Run<'_>,
    session: &Session,
    mut stack: Stack,
    mut options: PlanOptions,
    key: Option<SigningKey>,
    flags: &cli::Plan,
) -> Result<Code, Failure> {
    let mut permitted = Permitted::default();
    if flags.allow_migration {
        let at = rehearsal::now();
        if rehearsal::prepare(session, &mut stack, &mut options, Some(&at)).await? {
            permitted.other.insert(rehearsal::MIGRATION.to_owned(), at);
        }
    }
    let planned = session.engine.plan(&stack, &options).await?;
    fits(&options, &known(planned.stack(), &planned.state))?;
    permitted.data.extend(apply::permitted(&flags.permit, &planned.plan)?);
    // It is signed when it is kept, if at all.
    let rules =
        Rules { signers: BTreeSet::new(), ..session.file.config.rules(permitted.data.iter().cloned()) };
    let lints = session.engine.lints(&planned, &rules);
    let mut refusals = guard(&planned.plan, &rules);
    if !flags.destroy && permitted.other.is_empty() {
        refusals.extend(rehearsal::migration(&session.file, &planned.state, &options));
    }
    // Nothing but the file can let these be, so whoever only plans is told by the exit code, too.
    let refused = !lints.is_empty();
    refusals.extend(lints);
    let estimate = session.engine.estimate(&planned);
    let cost = causeway_cost::of(&planned.plan, &planned.state, &Table::built_in());
    if let Some(path) = &flags.html {
        Sheet::new(path, &planned, &estimate, &refusals, &session.cloud).write(run, None)?;
    }
    if flags.markdown {
        run.screen.raw(&render::markdown(&planned.plan, &estimate, &refusals));
    } else {
        let steps = render::plan(&planned.plan, flags.scope.detail);
        run.screen.say(&format!("{steps}{}{}", render::estimate(&estimate), cost.text()));
    }
    saved::tell(run, &permitted);
    if !planned.plan.is_empty() {
        clusters::tell_tags(&session.file, run.screen);
        bootstrap::foretell(run, session, &planned).await?;
    }
    if !refusals.is_empty() && !run.screen.json() && !flags.markdown {
        run.screen.note_lines(&format!("\n`apply` would refuse this:\n{}", render::refusals(&refusals)));
    }
    let saved = match &flags.output {
        Some(path) => {
            let saved = SavedPlan {
                permitted: permitted.clone(),
                estimate: estimate.clone(),
                ..saved::of(&planned, &options, &session.cloud)?
            };
            Some(saved::write(run, path, &saved, key.as_ref())?)
        }
        None => None,
    };
    let code = match planned.plan.is_empty() {
        _ if refused => Code::Refused,
        _ if !planned.plan.away.is_empty() => Code::Unavailable,
        false if flags.detailed_exitcode => Code::Changes,
        _ => Code::Done,
    };
    unseen(run, &planned.plan.away);
    if run.screen.json() {
        let digest = planned.plan.digest();
        let (cloud, plan) = (session.cloud.clone(), planned.plan);
        let result = document::Planned { cloud, plan, digest, estimate, cost, refusals, permitted, saved };
        run.screen.document(&document::done(run.name, code, result));
    }
    Ok(code)
}

/// Plans what the configuration wants, of which `scope` says which part, for commands that only look at the plan.
pub(crate) async fn planned<T>(
    run: &Run<'_>,
    scope: &Scope,
    work: impl AsyncFnOnce(&Session, Planned) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let file = session::configuration(run.global)?;
    let stack = file.stack(&file.given(&session::environment)?)?;
    let options = options(run, scope, &stack)?;
    let work = async |session: &Session| {
        let planned = session.engine.plan(&stack, &options).await?;
        fits(&options, &known(planned.stack(), &planned.state))?;
        work(session, planned).await
    };
    Session::within(run.global, file, run.screen, work).await
}

/// Says that not everything could be looked at, if so.
pub(crate) fn unseen(run: &Run<'_>, away: &[Away]) {
    if !away.is_empty() {
        let places = render::places(away);
        run.screen.error(&format!("not everything could be looked at: {places} cannot be reached"));
        run.screen
            .hint(&format!("Nothing there counts as gone; `deploy {}` again when it is back.", run.name));
    }
}

/// Addresses, each with the region that it is in.
pub(crate) type Known = BTreeMap<Address, String>;

/// What `stack` wants and what `state` has recorded.
pub(crate) fn known(stack: &Stack, state: &State) -> Known {
    let recorded = state.incarnations().map(|(a, record)| (a.clone(), record.request.place.label()));
    recorded.chain(wanted(stack)).collect()
}

fn wanted(stack: &Stack) -> Known {
    stack.nodes().iter().map(|(a, node)| (a.clone(), node.place.label())).collect()
}

/// The flags as the engine takes them: names of parts become patterns.
pub(crate) fn options(run: &Run<'_>, scope: &Scope, stack: &Stack) -> Result<PlanOptions, Failure> {
    let part = part(run, &scope.part, &wanted(stack), "the configuration")?;
    Ok(PlanOptions { adopt: scope.adopt, from_journal: !scope.refresh, ..part })
}

/// `part` as the engine takes it, of what is `known` to `whom`.
pub(crate) fn part(run: &Run<'_>, part: &Part, known: &Known, whom: &str) -> Result<PlanOptions, Failure> {
    let named = |flag: &str, parts: &[String]| -> Result<Vec<String>, Failure> {
        let mut out = vec![];
        for part in parts {
            let patterns = patterns(part, known).ok_or_else(|| {
                let groups = causeway_config::GROUPS.join(", ");
                let failure = Failure::usage(format!("there is no part named `{part}`"));
                failure.hint(format!(
                    "known parts: {groups}; addresses are written like `database/*`, regions like `region:us-west-2`"
                ))
            })?;
            if !known.iter().any(|(a, place)| patterns.iter().any(|p| selects(p, a, place))) {
                run.screen.note(&format!("{flag} {part}: {whom} has nothing there"));
            }
            out.extend(patterns);
        }
        Ok(out)
    };
    let (only, except) = (named("--only", &part.only)?, named("--except", &part.except)?);
    Ok(PlanOptions { only, except, ..PlanOptions::default() })
}

/// Looks whether `--only` fits anything at all: a slip would do nothing, and look like success.
///
/// # Errors
/// It fits no address of the configuration or of the journal.
pub(crate) fn fits(options: &PlanOptions, known: &Known) -> Result<(), Failure> {
    let fit = |(address, place): (&Address, &String)| options.only.iter().any(|p| selects(p, address, place));
    if options.only.is_empty() || known.iter().any(fit) {
        return Ok(());
    }
    let scope = |a: &Address| a.0.split_once('/').map_or_else(|| a.0.clone(), |(s, _)| format!("{s}/*"));
    let scopes: BTreeSet<String> = known.keys().map(scope).collect();
    let regions: BTreeSet<String> = known.values().map(|place| format!("{REGION}{place}")).collect();
    let scopes: Vec<String> = scopes.into_iter().chain(regions).collect();
    let failure = Failure::usage(format!("--only fits nothing: {}", options.only.join(", ")));
    Err(failure.hint(format!("there are {}", scopes.join(", "))))
}

/// What a part stands for: a name, an address, or a pattern of addresses.
fn patterns(part: &str, known: &Known) -> Option<Vec<String>> {
    if let Some(patterns) = causeway_config::group(part) {
        return Some(patterns.iter().map(|p| (*p).to_owned()).collect());
    }
    // A resource that is recorded and not wanted any more is known to the journal only.
    let is_pattern = part.contains(['/', '*']) || part.starts_with(REGION);
    (is_pattern || known.contains_key(&Address::from(part))).then(|| vec![part.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_patterns_and_addresses_stay() {
        let known = Known::from([(Address::from("registry"), "us-west-2".to_owned())]);
        assert_eq!(patterns("app", &known).unwrap(), ["app/*"]);
        assert_eq!(patterns("database/*", &known).unwrap(), ["database/*"]);
        assert_eq!(patterns("registry", &known).unwrap(), ["registry"]);
        assert_eq!(patterns("region:us-west-2", &known).unwrap(), ["region:us-west-2"]);
        assert_eq!(patterns("everything", &known), None);
    }

    #[test]
    fn a_region_that_nothing_is_in_is_a_slip() {
        let known = Known::from([(Address::from("network/vpc"), "us-west-2".to_owned())]);
        let only = |pattern: &str| PlanOptions { only: vec![pattern.to_owned()], ..PlanOptions::default() };
        assert!(fits(&only("region:us-west-2"), &known).is_ok());
        assert!(fits(&only("region:us-west-3"), &known).is_err());
    }
}
