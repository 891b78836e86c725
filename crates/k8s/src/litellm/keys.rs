//! The key that workspaces ask the models with: made anew at set times, and brought to each namespace of workspaces.
//!
//! Both jobs run our own program, with the arguments they are given here: `deploy llm-key make` and `deploy llm-key bring`.

use crate::{
    Manifest,
    call::Call,
    coder::Environment,
    cron::Schedule,
    kept::Kept,
    objects::Objects,
    rbac::{Account, Rule, named, rule},
    workload::{Nodes, Resources, Workload, container, scratch},
};
use causeway_core::{Address, Error, Handle, Stack, Value};
use k8s_openapi::{
    ByteString,
    api::{batch::v1::CronJob, core::v1},
};
use kube::api::{Api, Patch, PatchParams};
use std::collections::BTreeMap;

const NAME: &str = "rotate-key";
/// The Secret that workspaces find the key in.
pub const SECRET: &str = "litellm";
/// Under this name.
pub const KEY: &str = "token";

/// It may write one Secret and read no other. For `create` there is no name yet to be held to.
const RIGHTS: &[Rule] = &[
    rule(&[""], &["secrets"], &["get", "update", "patch"]).only(&[SECRET]),
    rule(&[""], &["secrets"], &["create"]),
];

/// How long a key lives, and how often there is a new one.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Hours that a key can be used.
    pub life: u8,
    /// Hours from one new key to the next.
    pub make_every: u8,
    /// Hours from one delivery to the next.
    pub bring_every: u8,
    /// By whose clock, like `America/Vancouver`.
    pub time_zone: String,
}

impl Default for Rotation {
    fn default() -> Self {
        Rotation { life: 8, make_every: 4, bring_every: 1, time_zone: "America/Vancouver".into() }
    }
}

/// Times that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// Some namespace would have a key that has ended.
    #[error(
        "a key that lives {life} hours ends before its successor is everywhere: one is made every {make_every} hours and \
         brought every {bring_every}, with an hour to spare that takes {needed}; let keys live longer or rotate more often"
    )]
    TooShort {
        /// Hours that a key lives.
        life: u8,
        /// Hours between keys.
        make_every: u8,
        /// Hours between deliveries.
        bring_every: u8,
        /// Hours that a key has to live.
        needed: u8,
    },
    /// A key would have to go before it is everywhere.
    #[error(
        "a key that is made every {make_every} hours is not everywhere by then: they are brought every {bring_every}, and one \
         may fail; bring them more often than they are made"
    )]
    TooOften {
        /// Hours between keys.
        make_every: u8,
        /// Hours between deliveries.
        bring_every: u8,
    },
    /// Cron counts from midnight, so the last time of a day would be nearer to the first of the next.
    #[error("every {hours} hours is not the same times each day; choose 1, 2, 3, 4, 6, 8 or 12")]
    Uneven {
        /// The hours.
        hours: u8,
    },
}

impl Rotation {
    /// Hours after which a key that came into force is everywhere, also when one delivery fails.
    pub fn overlap(&self) -> u8 {
        self.bring_every.saturating_add(1)
    }

    /// When keys are made, and when they are brought, ten minutes later.
    ///
    /// # Errors
    /// [`RotationError`] where a namespace could be left with a key that has ended, also when one delivery fails to start at
    /// its minute, or where the times of a day are uneven.
    pub fn schedules(&self) -> Result<[Schedule; 2], RotationError> {
        let Rotation { life, make_every, bring_every, .. } = *self;
        for hours in [make_every, bring_every] {
            if !matches!(hours, 1 | 2 | 3 | 4 | 6 | 8 | 12) {
                return Err(RotationError::Uneven { hours });
            }
        }
        if make_every < self.overlap() {
            return Err(RotationError::TooOften { make_every, bring_every });
        }
        let needed = make_every.saturating_add(bring_every).saturating_add(1);
        if life < needed {
            return Err(RotationError::TooShort { life, make_every, bring_every, needed });
        }
        let schedule = |minute: u8, every: u8| Schedule {
            cron: format!("{minute} */{every} * * *"),
            time_zone: self.time_zone.clone(),
            limit_seconds: 600,
        };
        Ok([schedule(0, make_every), schedule(10, bring_every)])
    }
}

/// A program of ours that runs at set times.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its image.
    pub image: String,
    /// What it is to do.
    pub args: Vec<String>,
    /// When.
    pub schedule: Schedule,
    /// The role of AWS that it acts as.
    pub role_arn: Option<Value<String>>,
    /// Where it runs.
    pub nodes: Nodes,
    /// What else it is told.
    pub environment: BTreeMap<String, Value<String>>,
}

/// Adds the job that makes keys, in the namespace of LiteLLM. It speaks to LiteLLM and to Secrets Manager, and may do nothing
/// in the cluster.
pub fn make(
    stack: &mut Stack,
    namespace: &str,
    after: &[Address],
    master_key: &Kept,
    job: &Job,
) -> Handle<Manifest<CronJob>> {
    let mut environment = environment(job);
    environment.kept("LITELLM_MASTER_KEY", master_key);
    let work = workload(namespace, job, environment);
    let mut objects = Objects::after(stack, after.to_vec());
    let account = Account::new(namespace, NAME);
    objects.add("service-account", &account.object(job.role_arn.as_ref()));
    objects.then();
    objects.add("job", &work.cron_job(&job.schedule))
}

/// Adds the job that brings the key to one namespace of workspaces.
pub fn bring(stack: &mut Stack, namespace: &str, after: &[Address], job: &Job) -> Handle<Manifest<CronJob>> {
    let mut environment = environment(job);
    environment.set("K8S_NAMESPACE", namespace);
    let work = workload(namespace, job, environment);
    let mut objects = Objects::after(stack, after.to_vec());
    let account = Account::new(namespace, NAME);
    objects.add("service-account", &account.object(job.role_arn.as_ref()));
    account.may_in(&mut objects, namespace, NAME, RIGHTS);
    objects.then();
    objects.add("job", &work.cron_job(&job.schedule))
}

/// Has the Secret of workspaces in `namespace` hold `key`. Whether it held another one, or none.
///
/// # Errors
/// Those of the API server.
pub async fn put(client: &kube::Client, namespace: &str, key: &causeway_core::Secret) -> Result<bool, Error> {
    let secrets: Api<v1::Secret> = Api::namespaced(client.clone(), namespace);
    let value = ByteString(key.expose()?.as_bytes().to_vec());
    let there = secrets.get_opt(SECRET).await.call("kubernetes:get")?;
    if there.is_some_and(|there| there.data.is_some_and(|data| data.get(KEY) == Some(&value))) {
        return Ok(false);
    }
    let object = v1::Secret {
        metadata: named(Some(namespace), SECRET),
        type_: Some("Opaque".into()),
        data: Some(BTreeMap::from([(KEY.to_owned(), value)])),
        ..v1::Secret::default()
    };
    // Whoever has put a key there by hand has one that ends.
    let ours = PatchParams::apply(NAME).force();
    secrets.patch(SECRET, &ours, &Patch::Apply(&object)).await.call("kubernetes:patch")?;
    Ok(true)
}

fn environment(job: &Job) -> Environment {
    let mut all = Environment::default();
    for (name, value) in &job.environment {
        all.set(name, value.inline());
    }
    all
}

fn workload(namespace: &str, job: &Job, environment: Environment) -> Workload {
    let resources = Resources { cpu: ("50m", "500m"), memory: ("64Mi", "256Mi"), storage: ("64Mi", "256Mi") };
    let (volume, mount) = scratch("tmp", "/tmp", "64Mi");
    let mut container = container(NAME, &job.image, resources);
    container.args = Some(job.args.clone());
    container.env = Some(environment.list());
    container.volume_mounts = Some(vec![mount]);
    Workload {
        name: NAME.into(),
        namespace: namespace.to_owned(),
        part_of: "litellm".into(),
        replicas: 1,
        service_account: NAME.into(),
        container,
        init: vec![],
        volumes: vec![volume],
        nodes: job.nodes.clone(),
        grace_seconds: 30,
        priority_class: None,
        annotations: BTreeMap::new(),
        user: 65_532,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes of the day at which a line of cron fires.
    fn minutes(cron: &str) -> Vec<u32> {
        let (minute, rest) = cron.split_once(" */").unwrap();
        let every: usize = rest.split(' ').next().unwrap().parse().unwrap();
        (0..24).step_by(every).map(|hour| hour * 60 + minute.parse::<u32>().unwrap()).collect()
    }

    /// The shortest time that a namespace's key has left just before the next one is brought, in minutes.
    fn margin(rotation: &Rotation) -> i64 {
        let [make, bring] = rotation.schedules().unwrap().map(|schedule| minutes(&schedule.cron));
        let over_days = |all: &[u32]| -> Vec<i64> {
            (0..3).flat_map(|day| all.iter().map(move |m| i64::from(*m) + day * 1_440)).collect()
        };
        let (make, bring) = (over_days(&make), over_days(&bring));
        bring
            .windows(2)
            .filter(|pair| pair[0] >= 1_440)
            .map(|pair| {
                let made = make.iter().filter(|at| **at <= pair[0]).max().unwrap();
                made + i64::from(rotation.life) * 60 - pair[1]
            })
            .min()
            .unwrap()
    }

    #[test]
    fn no_namespace_is_ever_left_with_a_key_that_has_ended() {
        let mut fit = 0;
        for life in 1..=24 {
            for make_every in 1..=12 {
                for bring_every in 1..=12 {
                    let rotation = Rotation { life, make_every, bring_every, ..Rotation::default() };
                    if rotation.schedules().is_ok() {
                        fit += 1;
                        assert!(margin(&rotation) >= 30, "{rotation:?} leaves {} minutes", margin(&rotation));
                    }
                }
            }
        }
        assert!(fit > 250, "{fit}");
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        let with =
            |life, make_every, bring_every| Rotation { life, make_every, bring_every, ..Rotation::default() };
        assert_eq!(with(8, 5, 1).schedules().unwrap_err(), RotationError::Uneven { hours: 5 });
        let message = with(7, 4, 3).schedules().unwrap_err().to_string();
        assert!(message.contains("lives 7 hours") && message.contains("takes 8"), "{message}");
        let message = with(12, 4, 4).schedules().unwrap_err().to_string();
        assert!(message.contains("made every 4 hours is not everywhere"), "{message}");
        let [make, bring] = Rotation::default().schedules().unwrap();
        assert_eq!((make.cron.as_str(), bring.cron.as_str()), ("0 */4 * * *", "10 */1 * * *"));
    }
}
