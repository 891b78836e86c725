//! Whose turn it is among the two target groups of a blue/green service. Which group new tasks register with is in what
//! fakecloud has of the service; which group gets the requests is in the listener rule, at moto.

use serde_json::{Value, json};

use super::Service;
use crate::gateway::refusal::Answer;
use crate::gateway::route::{Backend, Scope};
use crate::gateway::{State, lock};

pub(super) const BLUE_GREEN: &str = "BLUE_GREEN";

/// Two target groups, and the rule in front of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Turn {
    /// As fakecloud calls them.
    groups: [String; 2],
    rule: String,
    /// Where the revision is that was deployed last.
    pub(super) serving: usize,
}

impl Turn {
    /// Of the load balancers of a service, if they have an alternate group.
    fn of(balancers: &[Value], before: Option<&Turn>) -> Option<Turn> {
        let balancer = balancers.first()?;
        let advanced = &balancer["advancedConfiguration"];
        let own = balancer["targetGroupArn"].as_str()?;
        let groups = [own, advanced["alternateTargetGroupArn"].as_str()?].map(str::to_owned);
        let rule = advanced["productionListenerRule"].as_str()?.to_owned();
        let serving = before.filter(|b| b.groups == groups).map_or(0, |b| b.serving);
        Some(Turn { groups, rule, serving })
    }

    /// The group of the next revision.
    pub(super) fn next(&self) -> usize {
        1 - self.serving
    }
}

impl Service {
    /// Takes over what a client says of strategy and groups, which fakecloud forgets or must not see.
    pub(super) fn remember(&mut self, input: &Value) {
        let asked = &input["deploymentConfiguration"];
        if let Some(strategy) = asked["strategy"].as_str() {
            strategy.clone_into(&mut self.strategy);
        }
        if let Some(minutes) = asked["bakeTimeInMinutes"].as_f64() {
            self.bake_minutes = minutes;
        }
        if let Some(balancers) = input["loadBalancers"].as_array() {
            self.balancers.clone_from(balancers);
            self.turn = Turn::of(balancers, self.turn.as_ref());
        }
    }

    /// Whether the next deployment is a blue/green one. The first has nothing to take turns with.
    pub(super) fn takes_turns(&self) -> bool {
        self.strategy == BLUE_GREEN && self.turn.is_some() && self.good.is_some()
    }

    /// The load balancers for fakecloud, so that new tasks register with the group `index`.
    pub(super) fn balancers_at(&self, index: usize) -> Value {
        let mut balancers = self.balancers.clone();
        if let (Some(first), Some(turn)) = (balancers.first_mut(), &self.turn) {
            first["targetGroupArn"] = turn.groups[index].clone().into();
        }
        balancers.into()
    }

    /// What a client is shown of it.
    pub(super) fn show_strategy(&self, service: &mut Value) {
        if !self.balancers.is_empty() {
            service["loadBalancers"] = self.balancers.clone().into();
        }
        if !self.strategy.is_empty() {
            service["deploymentConfiguration"]["strategy"] = self.strategy.clone().into();
        }
        if self.strategy == BLUE_GREEN {
            service["deploymentConfiguration"]["bakeTimeInMinutes"] = json!(self.bake_minutes as i64);
        }
    }
}

const SERVICE: &str = "elasticloadbalancing";

/// Sends all requests to the group `index`.
pub(super) async fn shift(state: &State, scope: &Scope, turn: &Turn, index: usize) -> Result<(), Answer> {
    let mut parameters =
        vec![("RuleArn".to_owned(), turn.rule.clone()), ("Actions.member.1.Type".into(), "forward".into())];
    for (number, group) in turn.groups.iter().enumerate() {
        let at = format!("Actions.member.1.ForwardConfig.TargetGroups.member.{}", number + 1);
        let weight = if number == index { "100" } else { "0" };
        parameters.push((format!("{at}.TargetGroupArn"), state.fixes.twins.inbound(group)));
        parameters.push((format!("{at}.Weight"), weight.to_owned()));
    }
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    state.query(scope, SERVICE, "ModifyRule", &parameters).await.map(drop)
}

/// Takes every target out of the group `index`: fakecloud takes a task that ends only out of the group that the service
/// has by then.
pub(super) async fn drain(state: &State, scope: &Scope, turn: &Turn, index: usize) -> Result<(), Answer> {
    let group = turn.groups[index].as_str();
    let own = [("TargetGroupArn", group)];
    let root = state.query_at(Backend::Fakecloud, scope, SERVICE, "DescribeTargetHealth", &own).await?;
    for member in root.all("member") {
        let Some(id) = member.get("Target/Id") else { continue };
        let port = member.get("Target/Port").unwrap_or_default();
        let mut parameters = vec![("TargetGroupArn", group), ("Targets.member.1.Id", id.as_str())];
        if !port.is_empty() {
            parameters.push(("Targets.member.1.Port", port.as_str()));
        }
        state.query_at(Backend::Fakecloud, scope, SERVICE, "DeregisterTargets", &parameters).await?;
    }
    Ok(())
}

/// `StopServiceDeployment`: back to the revision that was deployed last, as the circuit breaker would.
pub(super) fn stopped(state: &State, arn: &str) -> Option<Service> {
    let services = lock(&state.fixes.deployments.services);
    services
        .values()
        .find(|s| s.attempts.front().is_some_and(|a| a.finished.is_none() && s.attempt_arn(a) == arn))
        .cloned()
}
