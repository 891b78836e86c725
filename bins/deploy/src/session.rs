//! A configuration, the cloud that it is for, and the engine in between.

use crate::{
    cli::Global,
    clusters, credentials,
    document::Cloud,
    failure::{Code, Failure},
    journal::{self, Place},
    names,
    passwords::InSecretsManager,
    screen::Screen,
};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::Credentials;
use causeway_aws::{Call, preflight, sts::Caller};
use causeway_config::File;
use causeway_core::{
    Class, Engine, Registry,
    engine::{EngineError, still_here},
    error::chain,
    journal::{Stamped, State},
    plan::PlanError,
    store::{LocalStore, Store},
};
use causeway_postgres::Way;
use causeway_sandbox::{
    Options, Sandbox, account,
    background::{self, Running},
    cache::Cache,
    cloudflare,
    install::Progress,
};
use causeway_stacks::eks::Connection;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// What the journal says, for commands that ask nothing else.
pub(crate) struct Past {
    pub(crate) entries: Vec<Stamped>,
    pub(crate) state: State,
}

impl Past {
    /// Reads the journal that `global` and the configuration choose. Reaches no cloud, unless the journal is in one.
    pub(crate) async fn read(global: &Global) -> Result<Self, Failure> {
        let file = settled(global).await?;
        let near = Near::of(global, &file)?;
        let place = Place::of(global, &file, &near.beside);
        journal::nothing_left_behind(&place, &near.beside).await?;
        let store = near.store(&place).await?;
        let entries = store.load().await.map_err(EngineError::Load)?;
        let state = State::fold(&entries).map_err(EngineError::Bad)?;
        still_here(&state, store.as_ref())?;
        let name = &file.config.stack.name;
        if !state.stack.is_empty() && state.stack != *name {
            return Err(EngineError::Plan(PlanError::OtherStack(state.stack)).into());
        }
        Ok(Past { entries, state })
    }
}

/// From where journals are reached, without asking who we are.
pub(crate) struct Near {
    /// The folder of the journal if nothing else is said.
    pub(crate) beside: PathBuf,
    /// The address of the sandbox, if there is one.
    endpoint: Option<String>,
}

impl Near {
    /// # Errors
    /// A sandbox is meant, and none is running.
    pub(crate) fn of(global: &Global, file: &File) -> Result<Self, Failure> {
        if !global.sandbox {
            return Ok(Near { beside: journal::beside(file), endpoint: None });
        }
        let running = Cache::find().and_then(|cache| Running::find(&cache, background::NAME));
        let none = || Failure::new(Code::Unavailable, "no sandbox is running, and its journal goes with it");
        let running = running.ok_or_else(|| none().hint("`deploy sandbox up` keeps one running"))?;
        let beside = running.run_dir.join("journals").join(&file.config.stack.name);
        Ok(Near { beside, endpoint: Some(running.endpoint) })
    }

    /// The journal at `place`.
    pub(crate) async fn store(&self, place: &Place) -> Result<Arc<dyn Store>, Failure> {
        Ok(match (place, &self.endpoint) {
            (Place::Folder(folder), _) => Arc::new(LocalStore::new(folder)),
            (Place::Bucket(bucket), Some(endpoint)) => {
                Arc::new(bucket.store(&sandboxed(endpoint, &bucket.region).await?))
            }
            (Place::Bucket(bucket), None) => Arc::new(bucket.store(&causeway_aws::sdk_config().await)),
        })
    }
}

/// What a command works with.
pub(crate) struct Session {
    pub(crate) file: File,
    pub(crate) engine: Engine,
    pub(crate) cloud: Cloud,
    /// What clients beside the engine are made from.
    pub(crate) sdk: SdkConfig,
    /// Where the journal is.
    pub(crate) store: Arc<dyn Store>,
    pub(crate) place: Place,
    /// The folder of the journal if nothing else is said.
    beside: PathBuf,
    /// How long the credentials last.
    pub(crate) lasts: preflight::Session,
    sandbox: Option<Sandbox>,
}

/// Reads the configuration.
pub(crate) fn configuration(global: &Global) -> Result<File, Failure> {
    Ok(File::read(&global.file)?)
}

/// Reads the configuration, and settles where the journal is.
///
/// # Errors
/// It is in the account, and nobody says which that is.
pub(crate) async fn settled(global: &Global) -> Result<File, Failure> {
    let mut file = configuration(global)?;
    let region = file.config.stack.region.clone();
    let account = async move {
        let sdk = causeway_aws::sdk_config().await;
        Ok(identify(&sdk, &region, false).await?.account)
    };
    journal::settle(global, &mut file, account).await?;
    Ok(file)
}

/// How databases are reached from here.
fn way(file: &File) -> Way {
    let litellm = file.config.eks.as_ref().and_then(|eks| eks.litellm.as_ref());
    let Some(Connection { root_certificates, tunnel }) = litellm.map(|litellm| &litellm.connection) else {
        return Way::default();
    };
    let root_certificates = root_certificates.as_ref().map(|path| file.folder().join(path));
    Way { root_certificates, through: tunnel.clone() }
}

/// Answers for environment variables.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Session {
    /// Reaches the cloud that `global` chooses, and does `work` there. However that ends, a lock that it had is given
    /// back, and a sandbox that was for this command only is gone, before this answers.
    ///
    /// # Errors
    /// Those of `work`, or the cloud cannot be reached, or the journal is elsewhere.
    pub(crate) async fn within<T>(
        global: &Global,
        file: File,
        screen: &Screen,
        work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let work = async |session: &Session| {
            journal::nothing_left_behind(&session.place, &session.beside).await?;
            work(session).await
        };
        Self::anywhere(global, file, screen, work).await
    }

    /// As [`Session::within`], wherever the journal is.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn anywhere<T>(
        global: &Global,
        file: File,
        screen: &Screen,
        work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let session = Self::open(global, file, screen).await?;
        let result = work(&session).await;
        session.close().await;
        result
    }

    async fn open(global: &Global, mut file: File, screen: &Screen) -> Result<Self, Failure> {
        let (name, region) = (file.config.stack.name.clone(), file.config.stack.region.clone());
        let (sdk, lasts, beside, cloudflare, sandbox) = if global.sandbox {
            let (endpoint, folder, cloudflare, own) = sandbox(&region, screen).await?;
            let lasts = preflight::Session::LongLived;
            let beside = folder.join("journals").join(&name);
            (sandboxed(&endpoint, &region).await?, lasts, beside, Some(cloudflare), own)
        } else {
            let (sdk, lasts) = credentials::config(global, &region, screen).await?;
            (sdk, lasts, journal::beside(&file), None, None)
        };
        let cloud = identify(&sdk, &region, global.sandbox).await?;
        credentials::are_for(&file, &cloud)?;
        journal::settle(global, &mut file, async { Ok(cloud.account.clone()) }).await?;
        let place = match &sandbox {
            // Nobody can have made a bucket in it, and nobody else can look.
            Some(_) => Place::Folder(beside.clone()),
            None => Place::of(global, &file, &beside),
        };
        if !cloud.sandbox {
            screen.note(&format!("AWS account {} in {region}, as {}", cloud.account, cloud.principal));
        }
        let mut registry = Registry::default();
        let caller = Caller { account: cloud.account.clone(), arn: cloud.principal.clone() };
        causeway_aws::register_as(&mut registry, sdk.clone(), caller);
        let secrets = Arc::new(InSecretsManager { sdk: sdk.clone(), region: region.clone() });
        causeway_postgres::register(&mut registry, way(&file), secrets.clone());
        let bundles = match file.config.eks.as_ref().and_then(|eks| eks.coder.as_ref()) {
            None => None,
            Some(_) if global.sandbox => Some(clusters::of_sandbox(installing(screen)).await?),
            Some(coder) => Some(clusters::definitions(&file, coder.vendored.as_deref())?),
        };
        clusters::register(&mut registry, &sdk, bundles, secrets);
        names::register(&mut registry, &sdk, &file, cloudflare.as_ref()).await?;
        let store = place.store(&sdk);
        let engine = Engine::new(registry, Arc::clone(&store)).account(&cloud.account);
        let engine = engine.at_once(usize::from(global.parallelism));
        Ok(Session { file, engine, cloud, store, sdk, place, beside, lasts, sandbox })
    }

    /// Looks whether another run is at work. A plan that is made meanwhile takes what that run has just made for
    /// somebody else's.
    ///
    /// # Errors
    /// One is, or nobody can say.
    pub(crate) async fn is_free(&self) -> Result<(), Failure> {
        let holder = self.store.holder().await.map_err(EngineError::Load)?;
        match holder.filter(|holder| holder.is_live(jiff::Timestamp::now())) {
            Some(holder) => Err(EngineError::Held(holder.to_string()).into()),
            None => Ok(()),
        }
    }

    /// Ends what goes on in the background, and the sandbox, if it was for this command only.
    async fn close(self) {
        self.store.settle().await;
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}

/// The address of the sandbox, its folder, where its Cloudflare is, and itself if it is only for this command.
async fn sandbox(
    region: &str,
    screen: &Screen,
) -> Result<(String, PathBuf, cloudflare::Place, Option<Sandbox>), Failure> {
    let running = Cache::find().and_then(|cache| Running::find(&cache, background::NAME));
    if let Some(running) = running {
        screen.note(&format!("sandbox at {}; its journal lasts as long as it does", running.endpoint));
        return Ok((running.endpoint, running.run_dir, running.cloudflare, None));
    }
    let options = Options { region: region.to_owned(), ..Options::default() };
    let sandbox = Sandbox::start_with(options, installing(screen)).await?;
    screen.note(&format!(
        "sandbox at {} for this command only: a rehearsal, and its journal goes with it",
        sandbox.endpoint()
    ));
    let cloudflare = sandbox.cloudflare_place().clone();
    Ok((sandbox.endpoint().to_owned(), sandbox.run_dir().to_owned(), cloudflare, Some(sandbox)))
}

/// Shows how an installation gets on: the steps, and on a terminal what they are at.
pub(crate) fn installing(screen: &Screen) -> impl FnMut(Progress<'_>) + Send + use<> {
    let bar = screen.live().then(|| {
        let bar = indicatif::ProgressBar::new_spinner();
        // Shown when the first step begins: mostly everything is installed already.
        bar.set_style(
            indicatif::ProgressStyle::with_template("{spinner} {prefix} {wide_msg:.dim}")
                .unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner()),
        );
        bar
    });
    move |progress| {
        let step = format!("setting the sandbox up, {}/{}: {}", progress.number, progress.of, progress.step);
        match (&bar, progress.line) {
            (Some(bar), None) => {
                bar.set_prefix(step);
                bar.enable_steady_tick(Duration::from_millis(120));
            }
            (Some(bar), Some(line)) => bar.set_message(line.to_owned()),
            (None, None) => crate::screen::aside(&step),
            (None, Some(_)) => {}
        }
    }
}

/// The SDK configuration of a sandbox. Nothing of the environment counts, least of all its credentials.
async fn sandboxed(endpoint: &str, region: &str) -> Result<SdkConfig, Failure> {
    let (key, secret) = account::credentials(account::DEFAULT)
        .ok_or_else(|| Failure::new(Code::Bug, "the sandbox has no default account"))?;
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(key, secret, None, None, "sandbox"))
        .retry_config(causeway_aws::retries());
    Ok(config.load().await)
}

/// Who we are, which is also the first call that shows whether anybody answers.
async fn identify(config: &SdkConfig, region: &str, sandbox: bool) -> Result<Cloud, Failure> {
    let sts = aws_sdk_sts::config::Builder::from(config)
        .region(Region::new(region.to_owned()))
        // It changes nothing, and no engine is there yet that would repeat it.
        .retry_config(RetryConfig::standard().with_max_attempts(8))
        .build();
    let call = aws_sdk_sts::Client::from_conf(sts);
    let answer = call.get_caller_identity().send().await.call("sts:GetCallerIdentity");
    let answer = answer.map_err(|e| {
        let failure = Failure::new(Code::Unavailable, format!("AWS does not say who we are: {}", chain(&e)));
        match (sandbox, e.class()) {
            (true, _) => failure,
            // Nobody answered, so that the credentials were not looked at.
            (false, Class::Transient) => failure.hint(match config.endpoint_url() {
                Some(url) => {
                    format!("AWS is looked for at {url}, which AWS_ENDPOINT_URL or the profile says")
                }
                None => "look at the network; HTTPS_PROXY is honoured".to_owned(),
            }),
            (false, _) => failure.hint(credentials::HINT),
        }
    })?;
    Ok(Cloud {
        sandbox,
        account: answer.account.unwrap_or_default(),
        principal: answer.arn.unwrap_or_default(),
        region: region.to_owned(),
    })
}

/// Who runs this, for the journal and for others who wait.
pub(crate) fn actor() -> String {
    let user = environment("USER").or_else(|| environment("LOGNAME")).unwrap_or_else(|| "somebody".into());
    let host = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).ok();
    let host = host.or_else(|| environment("HOSTNAME")).unwrap_or_else(|| "an unnamed host".into());
    format!("{user}@{}, process {}", host.trim(), std::process::id())
}
