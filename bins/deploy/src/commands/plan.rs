//! `deploy plan`: what apply would do.

use super::{Run, apply, bootstrap, html::Sheet, rehearsal, saved};
use crate::{
    cli::{self, Scope},
    document,
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::{
    Address, Stack,
    engine::Planned,
    guard::{Rules, guard},
    plan::{PlanOptions, matches_pattern},
    render,
    saved::{Permitted, SavedPlan},
    signature::SigningKey,
};
use causeway_cost::Table;
use std::collections::BTreeSet;

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
    fits(&planned, &options)?;
    permitted.data.extend(apply::permitted(&flags.permit, &planned.plan)?);
    // It is signed when it is kept, if at all.
    let rules =
        Rules { signers: BTreeSet::new(), ..session.file.config.rules(permitted.data.iter().cloned()) };
    let mut refusals = guard(&planned.plan, &rules);
    if !flags.destroy && permitted.other.is_empty() {
        refusals.extend(rehearsal::migration(&session.file, &planned.state, &options));
    }
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
        false if flags.detailed_exitcode => Code::Changes,
        _ => Code::Done,
    };
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
        fits(&planned, &options)?;
        work(session, planned).await
    };
    Session::within(run.global, file, run.screen, work).await
}

/// The flags as the engine takes them: names of parts become patterns.
pub(crate) fn options(run: &Run<'_>, scope: &Scope, stack: &Stack) -> Result<PlanOptions, Failure> {
    let addresses: Vec<&str> = stack.nodes().keys().map(|a| a.0.as_str()).collect();
    let named = |flag: &str, parts: &[String]| -> Result<Vec<String>, Failure> {
        let mut out = vec![];
        for part in parts {
            let patterns = patterns(part, &addresses).ok_or_else(|| {
                let known = causeway_config::GROUPS.join(", ");
                let failure = Failure::usage(format!("there is no part named `{part}`"));
                failure.hint(format!("known parts: {known}; addresses are written like `database/*`"))
            })?;
            if !addresses.iter().any(|a| patterns.iter().any(|p| matches_pattern(p, a))) {
                run.screen.note(&format!("{flag} {part}: the configuration has nothing there"));
            }
            out.extend(patterns);
        }
        Ok(out)
    };
    Ok(PlanOptions {
        adopt: scope.adopt,
        only: named("--only", &scope.only)?,
        except: named("--except", &scope.except)?,
        from_journal: !scope.refresh,
    })
}

/// Looks whether `--only` fits anything at all: a slip would do nothing, and look like success.
///
/// # Errors
/// It fits no address of the configuration or of the journal.
pub(crate) fn fits(planned: &Planned, options: &PlanOptions) -> Result<(), Failure> {
    let known = || planned.stack().nodes().keys().chain(planned.state.incarnations().map(|(a, _)| a));
    let fit = |address: &Address| options.only.iter().any(|p| matches_pattern(p, &address.0));
    if options.only.is_empty() || known().any(fit) {
        return Ok(());
    }
    let scopes: BTreeSet<String> =
        known().map(|a| a.0.split_once('/').map_or_else(|| a.0.clone(), |(s, _)| format!("{s}/*"))).collect();
    let scopes: Vec<String> = scopes.into_iter().collect();
    let failure = Failure::usage(format!("--only fits nothing: {}", options.only.join(", ")));
    Err(failure.hint(format!("there are {}", scopes.join(", "))))
}

/// What a part stands for: a name, an address, or a pattern of addresses.
fn patterns(part: &str, addresses: &[&str]) -> Option<Vec<String>> {
    if let Some(patterns) = causeway_config::group(part) {
        return Some(patterns.iter().map(|p| (*p).to_owned()).collect());
    }
    // A resource that is recorded and not wanted any more is known to the journal only.
    (part.contains(['/', '*']) || addresses.contains(&part)).then(|| vec![part.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_patterns_and_addresses_stay() {
        assert_eq!(patterns("app", &[]).unwrap(), ["app/*"]);
        assert_eq!(patterns("database/*", &[]).unwrap(), ["database/*"]);
        assert_eq!(patterns("registry", &["registry"]).unwrap(), ["registry"]);
        assert_eq!(patterns("everything", &["registry"]), None);
    }
}
