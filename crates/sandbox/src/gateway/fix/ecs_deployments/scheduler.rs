//! The service scheduler: what happens next, from what is known of a service and one look at its tasks. Pure.

use std::collections::BTreeSet;

use super::{Action, Attempt, BAKE_MINUTE, Deployment, Rollout, SETTLED, Seen, Service, random, short};

impl Service {
    pub(super) fn threshold(&self) -> usize {
        self.desired.div_ceil(2).clamp(3, 200)
    }

    fn tell(&mut self, now: f64, text: &str) {
        self.events.push_front((now, format!("(service {}) {text}", self.name)));
        self.events.truncate(100);
    }

    fn attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.front_mut()
    }

    pub(super) fn begin(&mut self, task_definition: &str, checked: bool, old: BTreeSet<String>, now: f64) {
        if let Some(attempt) = self.attempt()
            && attempt.finished.is_none()
        {
            attempt.finished = Some(now);
            attempt.status = "STOPPED";
            attempt.reason = "Superseded by a newer service deployment.".to_owned();
        }
        let mut deployment = Deployment::new(task_definition, checked, old, now);
        deployment.reason = format!("ECS deployment {} in progress.", deployment.id);
        deployment.green = self.takes_turns();
        self.attempts.push_front(Attempt {
            id: format!("{:022}", random()),
            created: now,
            updated: now,
            finished: None,
            status: "IN_PROGRESS",
            reason: String::new(),
            source: self.good.clone(),
            target: task_definition.to_owned(),
            failures: 0,
            rollback: None,
        });
        self.attempts.truncate(20);
        self.deployments.insert(0, deployment);
        self.deployments.truncate(5);
        self.generation += 1;
    }

    /// Takes one look and says what to do.
    pub(super) fn advance(&mut self, seen: &[Seen], now: f64) -> Vec<Action> {
        let mut actions = Vec::new();
        let (desired, grace, targets, threshold) = (self.desired, self.grace, self.targets, self.threshold());
        let (bake, turns) = (self.bake_minutes * BAKE_MINUTE, self.turn.is_some());
        let (serving, next) = self.turn.as_ref().map_or((0, 0), |turn| (turn.serving, turn.next()));
        let rolls_back = self.attempts.front().is_some_and(|attempt| attempt.rollback.is_some());
        let mut news: Vec<String> = Vec::new();
        let Some(d) = self.deployments.first_mut() else { return vec![Action::Done] };
        let (mut good, mut active) = (0, Vec::new());
        for task in seen.iter().filter(|task| !d.old.contains(&task.arn)) {
            if d.seen.insert(task.arn.clone()) {
                news.push(format!("has started 1 tasks: (task {}).", short(&task.arn)));
            }
            if task.stopped {
                if !d.stopping.contains(&task.arn) && d.failed.insert(task.arn.clone()) {
                    news.push(format!("(task {}) stopped before it was healthy.", short(&task.arn)));
                }
                continue;
            }
            let since = match task.running {
                true => *d.since.entry(task.arn.clone()).or_insert(now),
                false => now,
            };
            let target = task.target.as_deref().unwrap_or("initial");
            let sick = if !task.running || task.ending || d.stopping.contains(&task.arn) {
                None
            } else if task.health == "UNHEALTHY" {
                Some("Task failed container health checks".to_owned())
            } else if targets && target == "unhealthy" && now - since > grace {
                Some("Task failed ELB health checks".to_owned())
            } else {
                None
            };
            if let Some(reason) = sick {
                d.failed.insert(task.arn.clone());
                d.stopping.insert(task.arn.clone());
                news.push(format!("(task {}) is stopped: {reason}.", short(&task.arn)));
                actions.push(Action::Stop { task: task.arn.clone(), reason });
                continue;
            }
            if task.ending || d.stopping.contains(&task.arn) {
                continue;
            }
            active.push(task);
            let settled = d.checked || targets || now - since >= SETTLED;
            let healthy = (!d.checked || task.health == "HEALTHY") && (!targets || target == "healthy");
            if task.running && settled && healthy {
                good += 1;
            }
        }
        d.running = active.iter().filter(|task| task.running).count();
        d.pending = active.len() - d.running;
        d.updated = now;
        let old: Vec<&Seen> = seen.iter().filter(|task| d.old.contains(&task.arn) && !task.stopped).collect();
        let failures = d.failed.len();
        let (id, failing) = (d.id.clone(), self.breaker && failures >= threshold);
        if d.rollout != Rollout::InProgress {
            actions.push(Action::Done);
        } else if failing {
            actions.extend(self.fail(seen, now));
        } else if good >= desired && d.green && d.shifted.is_none() {
            d.shifted = Some(now);
            d.stage = "BAKE_TIME";
            news.push(format!("(deployment {id}) production traffic goes to the green service revision."));
            actions.push(Action::Shift(next));
        } else if good >= desired && d.green && d.shifted.is_some_and(|at| now - at < bake) {
            // Both revisions run.
        } else if good >= desired {
            d.stage = "CLEAN_UP";
            let surplus = active.len().saturating_sub(desired);
            active.sort_by(|a, b| b.started.total_cmp(&a.started));
            for task in active.iter().take(surplus).chain(&old) {
                if d.stopping.insert(task.arn.clone()) {
                    let reason = format!("Scaling activity initiated by (deployment {id})");
                    news.push(format!("has stopped 1 running tasks: (task {}).", short(&task.arn)));
                    actions.push(Action::Stop { task: task.arn.clone(), reason });
                }
            }
            if old.is_empty() && surplus == 0 {
                d.rollout = Rollout::Completed;
                d.reason = format!("ECS deployment {id} completed.");
                let task_definition = d.task_definition.clone();
                if d.green {
                    actions.push(Action::Drain(serving));
                    if let Some(turn) = self.turn.as_mut() {
                        turn.serving = next;
                    }
                } else if rolls_back && turns {
                    actions.push(Action::Drain(next));
                }
                let kept = active.iter().map(|task| task.arn.clone()).collect();
                self.deployments.truncate(1);
                self.good = Some(task_definition);
                if let Some(attempt) = self.attempt() {
                    attempt.finished = Some(now);
                    attempt.status =
                        if attempt.rollback.is_some() { "ROLLBACK_SUCCESSFUL" } else { "SUCCESSFUL" };
                }
                news.push(format!("(deployment {id}) deployment completed."));
                news.push("has reached a steady state.".to_owned());
                actions.extend([Action::Release(kept), Action::Done]);
            }
        } else if active.len() < desired && active.len() + old.len() >= desired {
            // Below that, fakecloud's own scheduler fills the gap.
            actions.push(Action::Launch(desired - active.len()));
        }
        if let Some(attempt) = self.attempt()
            && attempt.rollback.is_none()
            && attempt.finished.is_none()
        {
            attempt.failures = failures;
            attempt.updated = now;
        }
        for text in news {
            self.tell(now, &text);
        }
        actions
    }

    /// The circuit breaker has opened.
    fn fail(&mut self, seen: &[Seen], now: f64) -> Vec<Action> {
        let reason = match self.deployments.first().is_some_and(|d| d.green) {
            true => "Service deployment rolled back because the circuit breaker threshold was exceeded.",
            false => "ECS deployment circuit breaker: tasks failed to start.",
        };
        self.give_up(seen, now, reason, self.rollback)
    }

    /// Ends the deployment that goes on, and goes back to the revision before if that is wanted and there is one.
    pub(super) fn give_up(&mut self, seen: &[Seen], now: f64, reason: &str, rollback: bool) -> Vec<Action> {
        let shifted = self.deployments.first().is_some_and(|d| d.shifted.is_some());
        let Some(failed) = self.deployments.first_mut() else { return Vec::new() };
        failed.rollout = Rollout::Failed;
        failed.reason = reason.to_owned();
        let (id, task_definition) = (failed.id.clone(), failed.task_definition.clone());
        let failures = failed.failed.len();
        let old_left = seen.iter().any(|task| failed.old.contains(&task.arn) && !task.stopped);
        let rest: Vec<String> = seen
            .iter()
            .filter(|task| !failed.old.contains(&task.arn) && !task.stopped)
            .filter(|task| failed.stopping.insert(task.arn.clone()))
            .map(|task| task.arn.clone())
            .collect();
        self.tell(now, &format!("(deployment {id}) deployment failed: tasks failed to start."));
        if let Some(attempt) = self.attempt() {
            attempt.failures = failures;
            attempt.updated = now;
        }
        let stop = format!("Scaling activity initiated by (deployment {id})");
        let mut actions: Vec<Action> =
            rest.into_iter().map(|task| Action::Stop { task, reason: stop.clone() }).collect();
        let back = self.good.clone().filter(|good| rollback && *good != task_definition);
        if let Some(good) = back {
            let old = seen.iter().filter(|t| t.task_definition != good).map(|t| t.arn.clone()).collect();
            let checked =
                self.deployments.iter().find(|d| d.task_definition == good).is_some_and(|d| d.checked);
            let mut deployment = Deployment::new(&good, checked, old, now);
            deployment.reason =
                format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", deployment.id);
            self.tell(now, &format!("rolling back to deployment {}.", deployment.id));
            self.deployments.insert(0, deployment);
            if let Some(attempt) = self.attempt() {
                attempt.status = "ROLLBACK_IN_PROGRESS";
                attempt.reason = reason.to_owned();
                attempt.rollback = Some((now, good.clone()));
            }
            if let (true, Some(turn)) = (shifted, &self.turn) {
                actions.insert(0, Action::Shift(turn.serving));
            }
            actions.push(Action::Revert(good));
            return actions;
        }
        if let Some(attempt) = self.attempt() {
            attempt.status = "STOPPED";
            attempt.reason = reason.to_owned();
            attempt.finished = Some(now);
        }
        if !old_left {
            self.suspended = true;
            actions.push(Action::Suspend);
        }
        actions.push(Action::Done);
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(desired: usize) -> Service {
        Service {
            arn: "arn:aws:ecs:us-east-1:1:service/c/web".into(),
            name: "web".into(),
            cluster: "c".into(),
            desired,
            breaker: true,
            rollback: true,
            ..Service::default()
        }
    }

    fn task(id: &str, definition: &str, now: f64) -> Seen {
        Seen {
            arn: format!("arn:task/c/{id}"),
            task_definition: definition.into(),
            running: true,
            started: now,
            ..Seen::default()
        }
    }

    fn crashed(id: &str, definition: &str) -> Seen {
        Seen { stopped: true, running: false, ..task(id, definition, 0.0) }
    }

    #[test]
    fn a_task_that_settles_completes_the_first_deployment() {
        let mut web = service(1);
        web.begin("web:1", false, BTreeSet::new(), 0.0);
        assert_eq!(web.advance(&[task("a", "web:1", 1.0)], 2.0), []);
        assert_eq!(web.advance(&[task("a", "web:1", 1.0)], 6.5), [], "not before it has settled");
        assert_eq!(web.deployments[0].rollout, Rollout::InProgress);
        let actions = web.advance(&[task("a", "web:1", 1.0)], 7.0);
        assert_eq!(actions.last(), Some(&Action::Done));
        assert_eq!(web.deployments[0].rollout, Rollout::Completed);
        assert_eq!((web.good.as_deref(), web.attempts[0].status), (Some("web:1"), "SUCCESSFUL"));
    }

    fn deployed() -> Service {
        let mut web = service(1);
        web.begin("web:1", false, BTreeSet::new(), 0.0);
        web.advance(&[task("a", "web:1", 0.0)], 1.0);
        web.advance(&[task("a", "web:1", 0.0)], 6.0);
        web.begin("web:2", false, BTreeSet::from(["arn:task/c/a".to_owned()]), 10.0);
        web
    }

    #[test]
    fn the_old_task_serves_until_the_new_one_is_good() {
        let mut web = deployed();
        let (old, new) = (task("a", "web:1", 0.0), task("b", "web:2", 11.0));
        assert_eq!(web.advance(&[old.clone(), new.clone()], 12.0), []);
        let stop = web.advance(&[old.clone(), new.clone()], 17.0);
        assert!(matches!(&stop[..], [Action::Stop { task, .. }] if task.ends_with("/a")), "{stop:?}");
        assert_eq!(web.advance(&[old.clone(), new.clone()], 17.5), [], "asked once");
        let gone = Seen { stopped: true, ..old };
        web.advance(&[gone, new], 18.0);
        assert_eq!(web.deployments.len(), 1);
        assert_eq!(web.deployments[0].rollout, Rollout::Completed);
        assert_eq!(web.good.as_deref(), Some("web:2"));
    }

    #[test]
    fn three_crashes_open_the_breaker_and_the_old_revision_stays() {
        let mut web = deployed();
        let old = task("a", "web:1", 0.0);
        assert_eq!(web.advance(&[old.clone(), crashed("b", "web:2")], 12.0), [Action::Launch(1)]);
        assert_eq!(
            web.advance(&[old.clone(), crashed("b", "web:2"), crashed("c", "web:2")], 13.0),
            [Action::Launch(1)]
        );
        let all = [old.clone(), crashed("b", "web:2"), crashed("c", "web:2"), crashed("d", "web:2")];
        assert_eq!(web.advance(&all, 14.0), [Action::Revert("web:1".into())]);
        assert_eq!(web.attempts[0].status, "ROLLBACK_IN_PROGRESS");
        assert_eq!(web.deployments[1].rollout, Rollout::Failed);
        web.advance(&all, 14.5);
        let end = web.advance(&all, 19.5);
        assert_eq!(end.last(), Some(&Action::Done));
        assert_eq!(web.attempts[0].status, "ROLLBACK_SUCCESSFUL");
        assert_eq!(web.full(&web.attempts[0])["deploymentCircuitBreaker"]["status"], "TRIGGERED");
        assert_eq!((web.deployments.len(), &*web.deployments[0].task_definition), (1, "web:1"));
        assert!(web.events.iter().any(|(_, text)| text.contains("deployment failed: tasks failed to start")));
    }

    /// A service whose second revision takes over from its first, with a bake time of one minute.
    fn turning() -> Service {
        let mut web = service(1);
        web.remember(&json!({
            "deploymentConfiguration": { "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1 },
            "loadBalancers": [{ "targetGroupArn": "blue", "advancedConfiguration": {
                "alternateTargetGroupArn": "green", "productionListenerRule": "rule" } }],
        }));
        web.begin("web:1", false, BTreeSet::new(), 0.0);
        web.advance(&[task("a", "web:1", 0.0)], 1.0);
        web.advance(&[task("a", "web:1", 0.0)], 6.0);
        assert_eq!(web.good.as_deref(), Some("web:1"), "the first turns nothing");
        web.begin("web:2", false, BTreeSet::from(["arn:task/c/a".to_owned()]), 10.0);
        web
    }

    #[test]
    fn requests_go_over_at_once_and_the_old_tasks_stay_for_the_bake_time() {
        let mut web = turning();
        let (old, new) = (task("a", "web:1", 0.0), task("b", "web:2", 11.0));
        let both = [old.clone(), new.clone()];
        assert_eq!(web.advance(&both, 12.0), []);
        assert_eq!(web.full(&web.attempts[0])["lifecycleStage"], "SCALE_UP");
        assert_eq!(web.advance(&both, 17.0), [Action::Shift(1)]);
        assert_eq!(web.advance(&both, 17.5), []);
        assert_eq!(web.full(&web.attempts[0])["lifecycleStage"], "BAKE_TIME");
        let stop = web.advance(&both, 17.0 + BAKE_MINUTE);
        assert!(matches!(&stop[..], [Action::Stop { task, .. }] if task.ends_with("/a")), "{stop:?}");
        let gone = Seen { stopped: true, ..old };
        let end = web.advance(&[gone, new.clone()], 30.0);
        assert_eq!((end[0].clone(), end.last()), (Action::Drain(0), Some(&Action::Done)));
        assert_eq!(web.attempts[0].status, "SUCCESSFUL");

        // The next one goes the other way.
        web.begin("web:3", false, BTreeSet::from(["arn:task/c/b".to_owned()]), 40.0);
        assert_eq!(web.balancers_at(0)[0]["targetGroupArn"], "blue");
        let both = [new, task("c", "web:3", 41.0)];
        web.advance(&both, 42.0);
        assert_eq!(web.advance(&both, 47.0), [Action::Shift(0)]);
    }

    #[test]
    fn a_deployment_that_fails_while_it_bakes_gives_the_requests_back() {
        let mut web = turning();
        let (old, new) = (task("a", "web:1", 0.0), task("b", "web:2", 11.0));
        web.advance(&[old.clone(), new.clone()], 12.0);
        web.advance(&[old.clone(), new.clone()], 17.0);
        let back = web.give_up(&[old.clone(), new.clone()], 18.0, "because", true);
        assert_eq!(back[0], Action::Shift(0));
        assert_eq!(back.last(), Some(&Action::Revert("web:1".into())));
        let gone = Seen { stopped: true, ..new };
        web.advance(&[old.clone(), gone.clone()], 18.5);
        let end = web.advance(&[old, gone], 24.0);
        assert_eq!((end[0].clone(), web.attempts[0].status), (Action::Drain(1), "ROLLBACK_SUCCESSFUL"));
        assert_eq!(web.turn.as_ref().map(|turn| turn.serving), Some(0));
    }

    #[test]
    fn without_a_good_revision_the_service_stands_still() {
        let mut web = service(1);
        web.begin("web:1", false, BTreeSet::new(), 0.0);
        let crashes = [crashed("a", "web:1"), crashed("b", "web:1"), crashed("c", "web:1")];
        assert_eq!(web.advance(&crashes, 9.0), [Action::Suspend, Action::Done]);
        assert_eq!((web.suspended, web.attempts[0].status), (true, "STOPPED"));
        let mut live = json!({ "desiredCount": 0, "runningCount": 0 });
        web.show(&mut live);
        assert_eq!(live["desiredCount"], 1);
        assert_eq!(live["deployments"][0]["rolloutState"], "FAILED");
    }

    #[test]
    fn an_unhealthy_target_fails_after_the_grace_period() {
        let mut web = deployed();
        web.targets = true;
        web.grace = 10.0;
        let old = Seen { target: Some("healthy".into()), ..task("a", "web:1", 0.0) };
        let new = Seen { target: Some("unhealthy".into()), ..task("b", "web:2", 11.0) };
        assert_eq!(web.advance(&[old.clone(), new.clone()], 20.0), []);
        let stop = web.advance(&[old.clone(), new.clone()], 30.5);
        assert!(
            matches!(&stop[0], Action::Stop { reason, .. } if reason.contains("ELB health checks")),
            "{stop:?}"
        );
        assert_eq!(stop[1], Action::Launch(1));
        let healthy = Seen { target: Some("healthy".into()), ..new };
        let mut web = deployed();
        web.targets = true;
        assert!(
            matches!(&web.advance(&[old, healthy], 11.5)[..], [Action::Stop { task, .. }] if task.ends_with("/a"))
        );
    }

    #[test]
    fn every_revision_has_an_arn_of_its_own() {
        let web = deployed();
        let arns: BTreeSet<String> = (1..=20).map(|n| web.revision_arn(&format!("web:{n}"))).collect();
        assert_eq!(arns.len(), 20);
    }
}
