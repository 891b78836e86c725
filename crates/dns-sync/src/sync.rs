//! Plan and apply: sources, agreement, the engine, guards.

use crate::{
    Config, Exported, File, agree,
    ask::AskError,
    export,
    probe::{ProbeError, Prober},
    providers, recover,
    source::{Source, fixed::Fixed, kubernetes::Kubernetes, outputs::OutputsFile},
    verify::{self, Checked, Expected},
    wanted::{Because, Left, Said, at_address, wanted},
};
use causeway_core::{
    Address, Engine, Registry, Secret,
    apply::Report,
    engine::{EngineError, Planned, Run},
    estimate::Estimate,
    guard::{Refusal, Rules},
    journal::State,
    plan::PlanOptions,
    store::{LocalStore, MemoryStore, Store},
};
use causeway_dns::{error::ProviderError, guard, provider::Provider};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// So many changes at a time that the calls of a zone are as full as they can be.
const AT_ONCE: usize = 4000;

/// Providers by zone.
pub(crate) type Zones = BTreeMap<String, Arc<dyn Provider>>;

/// Keeps the records of one configuration.
pub struct Sync {
    config: Config,
    zones: Zones,
    sources: Vec<Arc<dyn Source>>,
    prober: Option<Prober>,
    store: Arc<dyn Store>,
    /// Whether the journal outlives this program.
    kept: bool,
}

/// What a plan may do beyond the usual.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Take over what is there and belongs to nobody.
    pub adopt: bool,
    /// Records that may be removed although they are the last of their name.
    pub permits: BTreeSet<Address>,
    /// Plan only for names that one of these matches; all if empty.
    pub only: Vec<String>,
}

/// A plan, and what speaks against it.
pub struct Prepared {
    /// The engine's plan, without what is left as it is.
    pub planned: Planned,
    /// What speaks against all of it.
    pub refusals: Vec<Refusal>,
    /// Names that are left as they are.
    pub left: Vec<Left>,
    /// What each source said.
    pub said: Vec<Said>,
    /// How many records were found by their marks, because there was no journal.
    pub recovered: usize,
}

impl Prepared {
    /// Whether something is missing that another run may find.
    pub fn misses(&self) -> bool {
        let source_away = self.said.iter().any(|said| said.error.is_some());
        source_away || self.left.iter().any(|l| l.because.is_missing()) || !self.planned.plan.away.is_empty()
    }

    /// Whether something was left that somebody has to look at.
    pub fn leaves(&self) -> bool {
        self.left.iter().any(|l| !l.because.is_missing() && !l.because.is_fine())
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.planned.plan.steps.is_empty()
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What the engine did.
    pub report: Report,
}

/// Why nothing could be done at all.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// No client of a provider could be made.
    #[error("the zone `{zone}` cannot be spoken to")]
    Provider {
        /// The zone.
        zone: String,
        /// Why not.
        #[source]
        source: ProviderError,
    },
    /// A zone could not be read.
    #[error("the zone `{zone}` cannot be read")]
    Zone {
        /// The zone.
        zone: String,
        /// Why not.
        #[source]
        source: causeway_core::Error,
    },
    /// Nobody tells which servers a zone has.
    #[error("the servers of the zone `{zone}` cannot be found; name them as `servers` in [verify]")]
    Servers {
        /// The zone.
        zone: String,
        /// Why not.
        #[source]
        source: AskError,
    },
    /// Targets cannot be probed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The engine could not do its work.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Sync {
    /// Works as `file` says, with the secrets of its zones. Nothing is called yet.
    ///
    /// # Errors
    /// When no client of a provider can be made.
    pub async fn new(file: &File, secrets: &BTreeMap<String, Secret>) -> Result<Self, SyncError> {
        let config = file.config.clone();
        let state: Option<PathBuf> = config.state.folder.as_ref().map(|folder| file.folder().join(folder));
        let mut zones = Zones::new();
        for (name, zone) in &config.zones {
            let provider = providers::provider(name, zone, secrets.get(name), state.as_deref()).await;
            zones.insert(
                name.clone(),
                provider.map_err(|source| SyncError::Provider { zone: name.clone(), source })?,
            );
        }
        let mut sources: Vec<Arc<dyn Source>> = vec![];
        for (name, cluster) in &config.clusters {
            sources.push(Arc::new(Kubernetes::new(name, cluster.clone(), file.folder())));
        }
        #[cfg(feature = "aws")]
        {
            use crate::source::{balancers::Balancers, services::Services};
            for (name, balancers) in &config.balancers {
                sources.push(Arc::new(Balancers::new(name, balancers.clone())));
            }
            for (name, services) in &config.ecs {
                sources.push(Arc::new(Services::new(name, services.clone())));
            }
        }
        for (name, outputs) in &config.outputs {
            let path = file.folder().join(&outputs.file);
            sources.push(Arc::new(OutputsFile::new(name, path, outputs.names.clone())));
        }
        if !config.records.is_empty() {
            sources.push(Arc::new(Fixed::new(config.records.clone())));
        }
        let kept = state.is_some();
        let store: Arc<dyn Store> = match state {
            Some(folder) => Arc::new(LocalStore::new(folder)),
            None => Arc::new(MemoryStore::default()),
        };
        let prober = Prober::new(&config.guard, file.folder())?;
        Ok(Sync { config, zones, sources, prober, store, kept })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the journal outlives this program.
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// Where the journal is.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Who keeps each zone.
    pub(crate) fn zones(&self) -> &Zones {
        &self.zones
    }

    /// Who probes targets, where that is wanted.
    pub(crate) fn prober(&self) -> Option<&Prober> {
        self.prober.as_ref()
    }

    /// A new engine, which remembers nothing but the journal.
    pub(crate) fn engine(&self, store: Arc<dyn Store>) -> Engine {
        let mut registry = Registry::new();
        causeway_dns::register(&mut registry, self.zones.clone());
        Engine::new(registry, store).at_once(AT_ONCE)
    }

    /// Reads the sources and the zones, and decides. Where there is no journal, one is made again from the marks in the zones
    /// and written.
    ///
    /// # Errors
    /// When a zone or the journal cannot be read. A source that does not answer is no error: its names are left as they are.
    pub async fn plan(&self, options: &Options, actor: &str) -> Result<Prepared, SyncError> {
        let engine = self.engine(Arc::clone(&self.store));
        let mut state = engine.state().await?;
        let mut recovered = 0;
        if state.seq == 0 {
            recovered = recover::recover(&self.config, &self.zones, &engine, actor).await?;
            state = engine.state().await?;
        }
        let pause = Duration::from_secs(self.config.guard.pause.into());
        let (reads, unsettled) = agree::agreed(&self.sources, &state, self.config.guard.reads, pause).await;
        let mut wanted = wanted(&self.config, &reads, &unsettled, &state);
        let rules = guard::Rules { permits: options.permits.clone(), ..self.config.rules() };
        // What is in the way of one record is no reason to leave the others; so it is taken out, and planned once more.
        let mut refusals;
        let mut probed = BTreeSet::new();
        let planned = loop {
            let except: Vec<String> = wanted.held.iter().map(|a| a.0.clone()).collect();
            let plan =
                PlanOptions { adopt: options.adopt, only: options.only.clone(), except, from_journal: false };
            let planned = engine.plan(&wanted.stack, &plan).await?;
            refusals = guard::guard(&planned, &rules);
            let mut out: Vec<(Address, Because, String)> = vec![];
            for refusal in refusals.iter().filter(|r| r.address.is_some()) {
                out.extend(refusal.address.clone().map(|a| (a, Because::Guard, refusal.why.clone())));
            }
            let conflicts = planned.plan.conflicts.iter();
            out.extend(conflicts.map(|c| (c.address.clone(), Because::Conflict, c.why.clone())));
            out.retain(|(address, ..)| !wanted.held.contains(address));
            if let (true, Some(prober)) = (out.is_empty(), &self.prober) {
                let silent = prober.silent(&planned, &mut probed).await;
                out.extend(silent.into_iter().map(|(address, why)| (address, Because::Silent, why)));
            }
            if out.is_empty() {
                break planned;
            }
            for (address, because, why) in out {
                let name = at_address(&address.0).map_or(address.0.clone(), |(name, _)| name.to_string());
                wanted.left.push(Left { name, because, why });
                wanted.stack.retain(|a| *a != address);
                wanted.held.insert(address);
            }
        };
        refusals.retain(|r| r.address.is_none());
        let (left, said) = (wanted.left, wanted.said);
        Ok(Prepared { planned, refusals, left, said, recovered })
    }

    /// What is known of our records: what the journal has, or else what the marks in the zones say.
    pub(crate) async fn known(&self, actor: &str) -> Result<State, SyncError> {
        let engine = self.engine(Arc::clone(&self.store));
        let state = engine.state().await?;
        if state.seq > 0 {
            return Ok(state);
        }
        recover::recover(&self.config, &self.zones, &engine, actor).await?;
        Ok(engine.state().await?)
    }

    /// Asks DNS about all that the journal has as done.
    ///
    /// # Errors
    /// When the journal cannot be read, or a zone's own servers cannot be found.
    pub async fn verify(&self) -> Result<Vec<Checked>, SyncError> {
        let expected = verify::expected(&self.known("verify").await?);
        let mut out = vec![];
        for zone in self.zones.keys() {
            let of_zone: Vec<Expected> = expected.iter().filter(|e| e.zone == *zone).cloned().collect();
            if of_zone.is_empty() {
                continue;
            }
            let servers = verify::servers(&self.config.verify, zone).await;
            let servers = servers.map_err(|source| SyncError::Servers { zone: zone.clone(), source })?;
            out.extend(verify::check(&of_zone, &servers).await);
        }
        Ok(out)
    }

    /// What is in the zones: what is ours, or all of it.
    ///
    /// # Errors
    /// When a zone cannot be read.
    pub async fn export(&self, all: bool) -> Result<Vec<Exported>, SyncError> {
        export::export(&self.config, &self.zones, all).await
    }

    /// How long applying `planned` takes, as far as that is known.
    pub fn estimate(&self, planned: &Planned) -> Estimate {
        self.engine(Arc::clone(&self.store)).estimate(planned)
    }

    /// Does what `prepared` says.
    ///
    /// # Errors
    /// When it is refused, or the journal has moved on, or another run is at work: nothing was changed.
    pub async fn apply(&self, prepared: Prepared, run: Run) -> Result<Outcome, SyncError> {
        if !prepared.refusals.is_empty() {
            return Err(EngineError::Refused(prepared.refusals).into());
        }
        // The guard of records has its own caps.
        let rules = Rules { max_removals: None, ..run.rules.clone() };
        let engine = self.engine(Arc::clone(&self.store));
        let report = engine.apply(prepared.planned, &Run { rules, ..run }).await?;
        Ok(Outcome { report })
    }
}
