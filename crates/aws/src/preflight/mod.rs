//! Looks before a change whether it can work: what a plan needs of the account that no plan shows.
//!
//! One file a check. A check that has nothing to look at is silent; one that could not ask says so, and is never taken
//! for good. Nothing here changes anything.

mod actions;
mod certificate;
mod growth;
mod identity;
mod image;
mod kubernetes;
mod linked_roles;
mod machines;
mod models;
mod path;
mod permissions;
mod quotas;
mod ranges;
mod region;
mod role;
mod secrets;
mod subnets;
mod zone;

pub use actions::{actions, calls, policy};
pub use growth::Growth;
pub use identity::{Identity, Session};
pub use models::Model;

use crate::{Aws, Region};
use aws_config::{SdkConfig, retry::RetryConfig};
use causeway_core::{Error, Resource, finding::Finding, plan::Action, wanted::Wanted};
use futures::future::{BoxFuture, join_all};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Longer than every sound answer takes, with its repetitions.
const LIMIT: Duration = Duration::from_secs(20);

/// What is to be applied, by whom.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The wanted resources.
    pub wanted: Vec<Wanted>,
    /// The kinds of what is removed besides, and how.
    pub removed: Vec<(String, Action)>,
    /// IAM actions that are needed besides: of what is none of AWS's kinds and works with the same credentials.
    pub also: BTreeSet<&'static str>,
    /// Who works.
    pub identity: Identity,
    /// The names that people type, which a certificate has to cover: hosts, and wildcards like `*.coder.example.com`.
    pub hosts: Vec<String>,
    /// The machines that may come later.
    pub growth: Vec<Growth>,
    /// The models that something in the plan is told to ask, where the plan touches it.
    pub models: Vec<Model>,
    /// About how long it takes.
    pub takes: Duration,
}

/// What is looked at.
pub struct Preflight {
    wanted: Vec<Wanted>,
    removed: Vec<(String, Action)>,
    also: BTreeSet<&'static str>,
    config: SdkConfig,
    clients: BTreeMap<String, Aws>,
    identity: Identity,
    hosts: Vec<String>,
    growth: Vec<Growth>,
    models: Vec<Model>,
    takes: Duration,
    touched: bool,
}

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    All,
    /// What the plan touches, with a handful of calls: for the start of an apply.
    Touched,
}

/// Asks, and says what was found.
type Asking<'a> = BoxFuture<'a, Result<Vec<Finding>, Error>>;

struct Check {
    name: &'static str,
    /// What is asked, for when nothing answers.
    asks: &'static str,
    /// Whether it also runs at the start of every apply.
    cheap: bool,
    run: for<'a> fn(&'a Preflight) -> Asking<'a>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "identity",
        asks: "who we are, and for how long",
        cheap: true,
        run: |p| Box::pin(identity::run(p)),
    },
    Check {
        name: "region",
        asks: "whether the region can be used",
        cheap: false,
        run: |p| Box::pin(region::run(p)),
    },
    Check {
        name: "image",
        asks: "whether the image is there and fits",
        cheap: true,
        run: |p| Box::pin(image::run(p)),
    },
    Check {
        name: "certificate",
        asks: "whether the certificate covers the names",
        cheap: true,
        run: |p| Box::pin(certificate::run(p)),
    },
    Check { name: "zone", asks: "whether the zone is there", cheap: true, run: |p| Box::pin(zone::run(p)) },
    Check {
        name: "secrets",
        asks: "whether the secrets can be read",
        cheap: true,
        run: |p| Box::pin(secrets::run(p)),
    },
    Check {
        name: "role",
        asks: "whether ECS may assume the roles",
        cheap: true,
        run: |p| Box::pin(role::run(p)),
    },
    Check {
        name: "permissions",
        asks: "whether we may do all of this",
        cheap: false,
        run: |p| Box::pin(permissions::run(p)),
    },
    Check {
        name: "quotas",
        asks: "whether the quotas leave room",
        cheap: false,
        run: |p| Box::pin(quotas::run(p)),
    },
    Check {
        name: "growth",
        asks: "whether the quotas leave room for the nodes that pods ask for",
        cheap: false,
        run: |p| Box::pin(growth::run(p)),
    },
    Check {
        name: "machines",
        asks: "whether the zones offer the machines",
        cheap: false,
        run: |p| Box::pin(machines::run(p)),
    },
    Check {
        name: "kubernetes",
        asks: "whether EKS has the Kubernetes that is wanted",
        cheap: false,
        run: |p| Box::pin(kubernetes::run(p)),
    },
    Check {
        name: "ranges",
        asks: "whether the addresses of new networks are free",
        cheap: false,
        run: |p| Box::pin(ranges::run(p)),
    },
    Check {
        name: "linked roles",
        asks: "whether services have their service-linked roles",
        cheap: false,
        run: |p| Box::pin(linked_roles::run(p)),
    },
    Check {
        name: "models",
        asks: "whether the models may be used",
        cheap: false,
        run: |p| Box::pin(models::run(p)),
    },
    Check {
        name: "subnets",
        asks: "whether the subnets have room and a way out",
        cheap: true,
        run: |p| Box::pin(subnets::run(p)),
    },
    Check {
        name: "path",
        asks: "whether the tasks reach the database",
        cheap: true,
        run: |p| Box::pin(path::run(p)),
    },
];

impl Preflight {
    /// Looks at `subject`.
    pub fn new(config: &SdkConfig, subject: Subject) -> Self {
        let Subject { wanted, removed, also, identity, hosts, growth, models, takes } = subject;
        // Reads may be repeated, so here the SDK does it.
        let config = config.to_builder().retry_config(RetryConfig::standard()).build();
        let clients = wanted
            .iter()
            .filter_map(region_of)
            .map(|region| (region.clone(), Aws::new(&config, &Region::new(region))))
            .collect();
        Preflight {
            wanted,
            removed,
            also,
            config,
            clients,
            identity,
            hosts,
            growth,
            models,
            takes,
            touched: false,
        }
    }

    /// Runs the checks, all at once.
    pub async fn run(mut self, extent: Extent) -> Vec<Finding> {
        self.touched = extent == Extent::Touched;
        let checks = CHECKS.iter().filter(|c| c.cheap || extent == Extent::All);
        let preflight = &self;
        let answers = checks.map(|check| async move {
            match tokio::time::timeout(LIMIT, (check.run)(preflight)).await {
                Ok(Ok(mut findings)) => {
                    findings.iter_mut().for_each(|f| f.check = check.name);
                    findings
                }
                Ok(Err(error)) => vec![Finding::not_answered(check.asks, &error).of(check.name)],
                Err(_) => {
                    let why = format!("nothing answered within {} s", LIMIT.as_secs());
                    vec![Finding::unreachable(check.asks, why).of(check.name)]
                }
            }
        });
        join_all(answers).await.into_iter().flatten().collect()
    }

    /// The IAM actions that applying it needs, and the kinds of which they are not known.
    pub fn actions(&self) -> (BTreeSet<&'static str>, BTreeSet<String>) {
        permissions::needed(self)
    }

    /// The resources of a kind that are looked at, with the clients of their regions.
    fn all<R: Resource>(&self) -> impl Iterator<Item = (&Wanted, R, &Aws)> {
        self.wanted.iter().filter(|w| !self.touched || w.is_touched()).filter_map(|wanted| {
            let aws = self.clients.get(&region_of(wanted)?)?;
            Some((wanted, wanted.spec::<R>()?, aws))
        })
    }

    /// As [`Preflight::all`], whether they are touched or not: what others lean on.
    fn around<R: Resource>(&self) -> impl Iterator<Item = (&Wanted, R)> {
        self.wanted.iter().filter_map(|w| Some((w, w.spec::<R>()?)))
    }
}

fn region_of(wanted: &Wanted) -> Option<String> {
    let place = wanted.place.spec.json();
    Some(place.get("region")?.as_str()?.to_owned())
}
