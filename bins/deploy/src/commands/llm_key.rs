//! `deploy llm-key`: the key that workspaces use LiteLLM with. `make` has a new one come into force, `bring` puts the one in force
//! where workspaces find it. By hand they take everything from the configuration; as jobs, from their flags.

use super::Run;
use crate::{
    calendar::Calendar,
    clusters, credentials, document,
    failure::{Code, Failure},
    internet,
    passwords::InSecretsManager,
    session::{self, Session, environment},
    stages::Staged,
};
use aws_config::SdkConfig;
use causeway_core::{Secret, error::chain, freeze::Freeze};
use causeway_k8s::{Vault as _, litellm::keys};
use causeway_litellm::{Held, LiteLlm, Made, Rotation, Stage, Vault, extend, make};
use causeway_stacks::eks::{Eks, llm_key_name};
use document::{LlmKeyBrought, LlmKeyMade, LlmKeyPlace};

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum What {
    /// Have a new key come into force, unless the one in force is not everywhere yet; delete those that nobody has any more
    Make(MakeArgs),
    /// Put the key in force into the Secret `litellm` of every namespace of workspaces
    Bring(BringArgs),
}

impl What {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            What::Make(_) => "llm-key make",
            What::Bring(_) => "llm-key bring",
        }
    }
}

/// Where keys are kept.
#[derive(Debug, clap::Args)]
struct Place {
    /// Where keys are kept in Secrets Manager; then no file is read. For jobs
    #[arg(long, value_name = "NAME", requires = "region", conflicts_with = "sandbox")]
    secret: Option<String>,
    /// The region of `--secret`
    #[arg(long, value_name = "REGION", requires = "secret")]
    region: Option<String>,
}

/// The flags of `make`.
#[derive(Debug, clap::Args)]
pub(crate) struct MakeArgs {
    #[command(flatten)]
    place: Place,
    /// Where LiteLLM is reached [default: that of `[eks.litellm]`]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Hours that a key can be used [default: that of `[eks.coder.jobs]`, or 8]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u8).range(1..))]
    life: Option<u8>,
    /// Hours after which a key is everywhere [default: as `[eks.coder.jobs]` says, or 2]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u8).range(1..))]
    overlap: Option<u8>,
    #[command(flatten)]
    calendar: Calendar,
}

/// The flags of `bring`.
#[derive(Debug, clap::Args)]
pub(crate) struct BringArgs {
    #[command(flatten)]
    place: Place,
    /// Only to this namespace of the cluster that this runs in, or that KUBECONFIG names
    #[arg(long, value_name = "NAMESPACE", requires = "secret")]
    namespace: Option<String>,
    #[command(flatten)]
    calendar: Calendar,
}

pub(crate) async fn run(run: &Run<'_>, what: &What) -> Result<Code, Failure> {
    let place = match what {
        What::Make(flags) => &flags.place,
        What::Bring(flags) => &flags.place,
    };
    if let (Some(secret), Some(region)) = (&place.secret, &place.region) {
        let (sdk, _) = credentials::config(run.global, region, run.screen).await?;
        let kept = Staged::new(&sdk, region, secret);
        return match what {
            What::Make(flags) => {
                let url = flags.url.as_deref().ok_or_else(|| Failure::usage("`--secret` needs `--url`"))?;
                let master = environment("LITELLM_MASTER_KEY")
                    .ok_or_else(|| Failure::usage("LITELLM_MASTER_KEY is not set"))?;
                made(run, flags, &kept, url, Secret::new(master), keys::Rotation::default(), &[]).await
            }
            What::Bring(flags) => {
                let Some(namespace) = &flags.namespace else {
                    return Err(Failure::usage("`--secret` needs `--namespace`"));
                };
                brought(run, flags, &kept, &[], async |key| {
                    let put = async { keys::put(&causeway_k8s::here().await?, namespace, key).await };
                    vec![at(None, namespace, put.await.map_err(|error| chain(&error)))]
                })
                .await
            }
        };
    }
    let file = session::configuration(run.global)?;
    let Some(eks) = file.config.eks.clone().filter(|eks| eks.litellm.is_some() && eks.coder.is_some()) else {
        let hint = "a key is for LiteLLM in clusters: `[eks.litellm]` and `[eks.coder]`";
        return Err(Failure::usage("this configuration has no LiteLLM").hint(hint));
    };
    let stack = file.config.stack.clone();
    let freezes = file.config.rules([]).freezes;
    let master = environment("LITELLM_MASTER_KEY").map(Secret::new);
    Session::anywhere(run.global, file, run.screen, async |session| {
        let kept = Staged::new(&session.sdk, &stack.region, &llm_key_name(&stack.name));
        match what {
            What::Make(flags) => {
                let url = flags.url.as_ref().or(eks.litellm.as_ref().and_then(|one| one.url.as_ref()));
                let url = url.ok_or_else(|| Failure::usage("`[eks.litellm]` has no `url`; give `--url`"))?;
                let master = match &master {
                    Some(key) => key.clone(),
                    None => {
                        let vault =
                            InSecretsManager { sdk: session.sdk.clone(), region: stack.region.clone() };
                        vault.secret(&format!("{}/litellm/master-key", stack.name)).await?
                    }
                };
                let jobs = eks.coder.as_ref().and_then(|coder| coder.jobs.as_ref());
                let rotation = jobs.map(|jobs| jobs.rotation()).unwrap_or_default();
                made(run, flags, &kept, url, master, rotation, &freezes).await
            }
            What::Bring(flags) => {
                brought(run, flags, &kept, &freezes, async |key| {
                    everywhere(&session.sdk, &stack.name, &stack.region, &eks, key).await
                })
                .await
            }
        }
    })
    .await
}

async fn made(
    run: &Run<'_>,
    flags: &MakeArgs,
    kept: &Staged,
    url: &str,
    master: Secret,
    rotation: keys::Rotation,
    freezes: &[Freeze],
) -> Result<Code, Failure> {
    let litellm = LiteLlm::new(internet::client()?, url, master);
    let rotation = Rotation {
        life: flags.life.unwrap_or(rotation.life),
        overlap: flags.overlap.unwrap_or(rotation.overlap()),
    };
    let mut result = LlmKeyMade { alias: None, new: false, deleted: vec![], extended: vec![] };
    if let Some(why) = flags.calendar.frozen(freezes, run.screen) {
        flags.calendar.ends(why, run.screen)?;
        // Or those that are in use would end in the middle of it.
        result.extended = extend(&litellm, kept, rotation).await?;
        for alias in &result.extended {
            run.screen.say(&format!("`{alias}` can be used for {} hours from now.", rotation.life));
        }
    } else {
        match make(&litellm, kept, rotation, jiff::Timestamp::now()).await? {
            Made::TooEarly { alias, until } => {
                let until = until.strftime("%Y-%m-%d %H:%M UTC");
                run.screen.say(&format!(
                    "`{alias}` is in force, and may not be everywhere before {until}: no other one is made until then."
                ));
                result.alias = Some(alias);
            }
            Made::New { alias, deleted } => {
                run.screen.say(&format!("`{alias}` is in force, for {} hours.", rotation.life));
                for old in &deleted {
                    run.screen.say(&format!("`{old}` is deleted: nobody has it any more."));
                }
                (result.alias, result.new, result.deleted) = (Some(alias), true, deleted);
            }
        }
    }
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, result));
    }
    Ok(Code::Done)
}

async fn brought(
    run: &Run<'_>,
    flags: &BringArgs,
    kept: &Staged,
    freezes: &[Freeze],
    to: impl AsyncFnOnce(&Secret) -> Vec<LlmKeyPlace>,
) -> Result<Code, Failure> {
    let mut result = LlmKeyBrought { alias: None, namespaces: vec![] };
    let mut code = Code::Done;
    if let Some(why) = flags.calendar.frozen(freezes, run.screen) {
        flags.calendar.ends(why, run.screen)?;
    } else {
        let current = kept.at(Stage::Current).await?;
        // What is no key is never brought anywhere.
        let held = current.and_then(|version| Held::parse(&version.value).ok()).ok_or_else(|| {
            Failure::new(Code::Unavailable, "no key of LiteLLM is in force yet")
                .hint("`deploy llm-key make` makes one, as the job does")
        })?;
        result.namespaces = to(&held.key).await;
        for place in &result.namespaces {
            let region = place.region.as_ref().map(|region| format!("{region} ")).unwrap_or_default();
            let namespace = &place.namespace;
            run.screen.say(&match (&place.failed, place.changed) {
                (Some(why), _) => format!("! {region}{namespace}  {why}"),
                (None, true) => format!("~ {region}{namespace}  has `{}` now", held.alias),
                (None, false) => format!("= {region}{namespace}  has `{}`", held.alias),
            });
            if place.failed.is_some() {
                code = Code::Partial;
            }
        }
        result.alias = Some(held.alias);
    }
    if run.screen.json() {
        run.screen.document(&document::done(run.name, code, result));
    }
    Ok(code)
}

fn at(region: Option<&str>, namespace: &str, put: Result<bool, String>) -> LlmKeyPlace {
    LlmKeyPlace {
        region: region.map(str::to_owned),
        namespace: namespace.to_owned(),
        changed: put == Ok(true),
        failed: put.err(),
    }
}

/// Brings the key to all namespaces of workspaces in all regions. One that is away keeps no other back.
async fn everywhere(sdk: &SdkConfig, stack: &str, home: &str, eks: &Eks, key: &Secret) -> Vec<LlmKeyPlace> {
    let mut places = vec![];
    let organizations = eks.coder.iter().flat_map(|coder| &coder.organizations);
    let namespaces: Vec<String> = organizations.map(|(name, one)| one.namespace(name)).collect();
    for region in [home].into_iter().chain(eks.regions.keys().map(String::as_str)) {
        let client = clusters::enter(sdk, region, stack).await;
        for namespace in &namespaces {
            let put = match &client {
                Ok(client) => keys::put(client, namespace, key).await.map_err(|error| chain(&error)),
                Err(failure) => Err(failure.message()),
            };
            places.push(at(Some(region), namespace, put));
        }
    }
    places
}
