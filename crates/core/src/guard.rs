//! Refuses plans that are dangerous, before anything is changed: by what they do. What speaks against the resources
//! themselves is said by [lints](crate::lint).

use crate::{
    freeze::Freeze,
    plan::{Action, Plan, Step, matches_pattern},
    signature::PublicKey,
    value::Address,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a run may do.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Data-bearing resources that may be deleted or replaced, each by its address.
    pub permits: BTreeSet<Address>,
    /// How many resources may be removed in one run, unless everything is to go. `None`: any number.
    pub max_removals: Option<usize>,
    /// Ports that may be open to the whole internet.
    pub public_ports: BTreeSet<u16>,
    /// Lints whose findings are let be, by name.
    pub allow: BTreeSet<String>,
    /// Patterns of addresses that are never deleted or replaced, beside what the stack protects itself.
    pub protect: Vec<String>,
    /// When nothing is to be changed.
    pub freezes: Vec<Freeze>,
    /// Why something is changed during a freeze all the same.
    pub during_freeze: Option<String>,
    /// What time it is. The engine sets it once more when it applies.
    pub now: Timestamp,
    /// Who may approve a plan. Empty: it needs no signature.
    pub signers: BTreeSet<PublicKey>,
    /// Who has signed this one.
    pub signed_by: Option<PublicKey>,
}

impl Default for Rules {
    /// Twenty removals; 80 and 443 may be public; nothing is frozen, and no signature is needed.
    fn default() -> Self {
        Rules {
            permits: BTreeSet::new(),
            max_removals: Some(20),
            public_ports: [80, 443].into(),
            allow: BTreeSet::new(),
            protect: vec![],
            freezes: vec![],
            during_freeze: None,
            now: Timestamp::now(),
            signers: BTreeSet::new(),
            signed_by: None,
        }
    }
}

/// Why a plan is refused, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Refusal {
    /// Which resource; none where it is about the plan as a whole.
    pub address: Option<Address>,
    /// The rule.
    pub rule: String,
    /// Which field of the resource, where a lint says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong and what to do.
    pub why: String,
}

/// Everything that speaks against `plan`, but for what [lints](crate::lint) say of its resources.
pub fn guard(plan: &Plan, rules: &Rules) -> Vec<Refusal> {
    let mut out: Vec<Refusal> = plan
        .conflicts
        .iter()
        .map(|c| Refusal {
            address: Some(c.address.clone()),
            rule: "conflict".into(),
            field: None,
            why: c.why.clone(),
        })
        .collect();
    for step in &plan.steps {
        out.extend(protected(step, rules));
        out.extend(data(step, rules));
    }
    out.extend(too_many(plan, rules));
    if rules.during_freeze.is_none() {
        out.extend(frozen(plan, rules));
    }
    out.extend(unsigned(plan, rules));
    out
}

/// The refusals of `guard` that the reason in `rules` has overruled: the rule, and why.
pub fn overruled(plan: &Plan, rules: &Rules) -> Option<(String, String)> {
    let why = rules.during_freeze.as_ref().filter(|_| !frozen(plan, rules).is_empty())?;
    Some((FREEZE.to_owned(), why.clone()))
}

const FREEZE: &str = "freeze";

/// A plan that changes nothing in the cloud is never in the way of a freeze.
fn frozen(plan: &Plan, rules: &Rules) -> Vec<Refusal> {
    if plan.is_empty() { vec![] } else { freezes(&rules.freezes, rules.now) }
}

/// What `freezes` say against a change at `now`.
pub fn freezes(freezes: &[Freeze], now: jiff::Timestamp) -> Vec<Refusal> {
    let on = freezes.iter().filter_map(|f| Some((f, f.until(now)?)));
    on.map(|(freeze, until)| {
        let zone = until.time_zone().iana_name().unwrap_or("UTC");
        let why = format!(
            "nothing is to be changed during `{}`, which lasts until {} ({zone}); wait, or say why it cannot wait: \
             --during-freeze REASON",
            freeze.name,
            until.strftime("%Y-%m-%d %H:%M")
        );
        Refusal { address: None, rule: FREEZE.into(), field: None, why }
    })
    .collect()
}

fn unsigned(plan: &Plan, rules: &Rules) -> Option<Refusal> {
    let nothing = plan.steps.is_empty() && plan.moves.is_empty();
    if nothing || rules.signers.is_empty() {
        return None;
    }
    let what = match &rules.signed_by {
        Some(signer) if rules.signers.contains(signer) => return None,
        Some(signer) => format!("is signed with {signer}, which is no key of `plan_signers` in [guard]"),
        None => "is not signed, and [guard] names `plan_signers`".to_owned(),
    };
    let why = format!(
        "the plan {what}; have one of them sign it: `plan --output FILE --sign KEY`, and then `apply FILE`"
    );
    Some(Refusal { address: None, rule: "signature".into(), field: None, why })
}

fn refusal(step: &Step, rule: &str, why: String) -> Refusal {
    Refusal { address: Some(step.address.clone()), rule: rule.into(), field: None, why }
}

fn verb(action: Action) -> &'static str {
    if action.replaces() { "replaced" } else { "deleted" }
}

fn protected(step: &Step, rules: &Rules) -> Option<Refusal> {
    let named = rules.protect.iter().any(|p| matches_pattern(p, &step.address.0));
    ((step.protect || named) && step.action.removes() && !step.leftover).then(|| {
        let why = format!("is protected and would be {}; lift the protection first", verb(step.action));
        refusal(step, "protected", why)
    })
}

fn data(step: &Step, rules: &Rules) -> Option<Refusal> {
    (step.data && step.action.removes() && !rules.permits.contains(&step.address)).then(|| {
        let why = format!(
            "holds {} and would be {}; name it to permit that: --permit {}",
            step.holds.as_deref().unwrap_or("data"),
            verb(step.action),
            step.address
        );
        refusal(step, "data", why)
    })
}

fn too_many(plan: &Plan, rules: &Rules) -> Option<Refusal> {
    let removed = plan.steps.iter().filter(|s| s.action.removes() && !s.leftover).count();
    let nothing_stays = plan.unchanged == 0 && plan.away.iter().all(|a| a.wanted == 0);
    let everything =
        plan.steps.iter().all(|s| matches!(s.action, Action::Delete | Action::Forget)) && nothing_stays;
    let most = rules.max_removals.filter(|most| removed > *most && !everything)?;
    Some(Refusal {
        address: None,
        rule: "max-removals".into(),
        field: None,
        why: format!(
            "{removed} resources would be removed and {most} are allowed; raise max_removals in [guard] if that is meant"
        ),
    })
}
