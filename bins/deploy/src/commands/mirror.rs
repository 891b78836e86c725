//! `deploy mirror`: copies images of others into the repositories of the stack, straight from one registry to the other.

use super::{Run, vendor::progress};
use crate::{
    calendar::Calendar,
    credentials, document,
    failure::{Code, Failure},
    internet,
    session::{self, Session},
};
use aws_config::SdkConfig;
use causeway_aws::{Aws, Call, Region};
use causeway_core::{
    error::{Found, chain},
    freeze::Freeze,
};
use causeway_k8s::lock::Fetching;
use causeway_oci::{Digest, Error, Registries, Repository, copy, missing};
use causeway_stacks::config::Copied;
use document::MirroredImage;
use std::collections::BTreeSet;

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only into these repositories [default: all that `[eks.registry] mirror` names]
    #[arg(value_name = "REPOSITORY")]
    names: Vec<String>,
    /// Copy nothing; show what would go, and exit with 2 if anything would
    #[arg(long)]
    dry_run: bool,
    /// Copy this image into this repository, and read no file; may be repeated
    #[arg(long, value_name = "REPOSITORY=IMAGE", value_parser = copied, requires = "region", conflicts_with_all = ["names", "sandbox"])]
    copy: Vec<Copied>,
    /// The region of the repositories that `--copy` names
    #[arg(long, value_name = "REGION", requires = "copy")]
    region: Option<String>,
    #[command(flatten)]
    calendar: Calendar,
}

fn copied(text: &str) -> Result<Copied, String> {
    let (to, from) = text.split_once('=').ok_or("expected REPOSITORY=IMAGE")?;
    let from = from.parse().map_err(|error: causeway_oci::BadReference| error.to_string())?;
    Ok(Copied { to: to.to_owned(), from })
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    if let Some(region) = &flags.region {
        let (sdk, _) = credentials::config(run.global, region, run.screen).await?;
        return mirror(run, flags, &sdk, region, &flags.copy, &[]).await;
    }
    let file = session::configuration(run.global)?;
    let copies = file.copies().map_err(|problem| Failure::from(file.mistakes(vec![problem])))?;
    let copies = chosen(copies, &flags.names)?;
    let freezes = file.config.rules([]).freezes;
    let region = file.config.stack.region.clone();
    Session::anywhere(run.global, file, run.screen, async |session| {
        mirror(run, flags, &session.sdk, &region, &copies, &freezes).await
    })
    .await
}

fn chosen(copies: Vec<Copied>, names: &[String]) -> Result<Vec<Copied>, Failure> {
    if copies.is_empty() {
        let hint = "write `[eks.registry.mirror]`, with a line for each repository: \
                    `coder-preview = [\"ghcr.io/coder/coder-preview:v1\"]`";
        return Err(Failure::usage("nothing says which images are to be copied").hint(hint));
    }
    if let Some(name) = names.iter().find(|name| !copies.iter().any(|one| one.to == **name)) {
        let known: BTreeSet<&str> = copies.iter().map(|one| one.to.as_str()).collect();
        let known: Vec<&str> = known.into_iter().collect();
        let failure = Failure::usage(format!("nothing is copied into a repository `{name}`"));
        return Err(failure.hint(format!("`[eks.registry.mirror]` has {}", known.join(", "))));
    }
    Ok(copies.into_iter().filter(|one| names.is_empty() || names.contains(&one.to)).collect())
}

async fn mirror(
    run: &Run<'_>,
    flags: &Args,
    sdk: &SdkConfig,
    region: &str,
    copies: &[Copied],
    freezes: &[Freeze],
) -> Result<Code, Failure> {
    if !flags.dry_run
        && let Some(why) = flags.calendar.frozen(freezes, run.screen)
    {
        let code = flags.calendar.ends(why, run.screen)?;
        if run.screen.json() {
            let result = document::Mirror { copied: false, images: vec![] };
            run.screen.document(&document::done(run.name, code, result));
        }
        return Ok(code);
    }
    let aws = Aws::new(sdk, &Region::new(region));
    let login = aws.ecr.login().await?;
    let host = login.endpoint.split_once("://").map_or(login.endpoint.as_str(), |(_, host)| host);
    repositories(&aws, region, copies).await?;
    let logins = internet::logins()?.with(
        host,
        &login.user,
        login.password.expose().map_err(causeway_core::Error::from)?,
    );
    let registries = Registries::new(internet::patient()?, logins);
    let shown = progress(run.screen, "copying");
    let mut images = vec![];
    let mut remedies = BTreeSet::new();
    for one in copies {
        let to = format!("{host}/{}", one.to);
        let Ok(to) = to.parse::<Repository>() else {
            return Err(Failure::usage(format!("`{to}` is no repository")));
        };
        let mut image = MirroredImage {
            from: format!("{}:{}", one.from.repository, one.from.tag),
            to: format!("{to}:{}", one.from.tag),
            digest: None,
            before: None,
            went: 0,
            failed: None,
        };
        let way = Way { registries: &registries, one, to: &to, shown: &shown };
        if let Err(error) = way.go(flags.dry_run, &mut image).await {
            image.failed = Some(chain(&error));
            remedies.insert(error.remedy());
        }
        images.push(image);
    }
    // It is drawn where the answer goes.
    drop(shown);
    for image in &images {
        run.screen.say(&line(image, flags.dry_run));
    }
    let moves = images.iter().any(|image| image.failed.is_none() && image.before != image.digest);
    let failed = images.iter().filter(|image| image.failed.is_some()).count();
    for remedy in remedies {
        run.screen.hint(remedy);
    }
    let code = match (failed, flags.dry_run && moves) {
        (0, true) => Code::Changes,
        (0, false) => Code::Done,
        _ => Code::Partial,
    };
    if run.screen.json() {
        let result = document::Mirror { copied: !flags.dry_run, images };
        run.screen.document(&document::done(run.name, code, result));
    }
    Ok(code)
}

/// Whether all repositories are there: a registry only says that it does not know what is asked for.
async fn repositories(aws: &Aws, region: &str, copies: &[Copied]) -> Result<(), Failure> {
    let wanted: BTreeSet<&str> = copies.iter().map(|one| one.to.as_str()).collect();
    let mut missing = vec![];
    for name in wanted {
        // One by one: the job may look at these and at no others.
        let found = aws.ecr.describe_repositories().repository_names(name).send().await;
        if found.call("ecr:DescribeRepositories").found()?.is_none() {
            missing.push(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let failure =
        Failure::new(Code::Unavailable, format!("ECR of {region} has no repository {}", missing.join(", ")));
    Err(failure.hint("`deploy apply` makes those of `[eks.registry] repositories`"))
}

/// One image, and where it goes.
struct Way<'a, P> {
    registries: &'a Registries,
    one: &'a Copied,
    to: &'a Repository,
    shown: &'a P,
}

impl<P: Fn(Fetching<'_>) + Sync> Way<'_, P> {
    async fn go(&self, only_look: bool, image: &mut MirroredImage) -> Result<(), Error> {
        let Copied { from, .. } = self.one;
        let digest = match &from.digest {
            Some(digest) => digest.clone(),
            None => self.registries.look(&from.repository, &from.tag).await?.digest,
        };
        image.digest = Some(digest.to_string());
        let before: Option<Digest> = self.registries.tagged(self.to, &from.tag).await?;
        image.before = before.as_ref().map(ToString::to_string);
        if before.as_ref() == Some(&digest) {
            return Ok(());
        }
        let copied = if only_look {
            missing(self.registries, &from.repository, &digest, self.to).await?
        } else {
            let name = image.from.clone();
            let progress = |there, size| (self.shown)(Fetching { name: &name, there, size });
            copy(self.registries, &from.repository, &digest, self.to, &from.tag, &progress).await?
        };
        image.went = copied.went;
        Ok(())
    }
}

/// `+ coder/coder:v2.28.3  sha256:0123456789ab.., 412.3 MB`
fn line(image: &MirroredImage, only_look: bool) -> String {
    let short = |digest: &Option<String>| {
        digest.as_ref().map(|digest| format!("{}..", digest.get(..19).unwrap_or(digest))).unwrap_or_default()
    };
    let (from, to) = (&image.from, &image.to);
    if let Some(why) = &image.failed {
        return format!("! {from} is not copied: {why}");
    }
    let size = indicatif::DecimalBytes(image.went);
    let went = if only_look { format!("{size} would go") } else { format!("{size} went") };
    match &image.before {
        Some(before) if image.digest.as_ref() == Some(before) => {
            format!("= {to}  is {from}, {}", short(&image.digest))
        }
        Some(_) => format!("~ {to}  {} -> {}, {went}", short(&image.before), short(&image.digest)),
        None => format!("+ {to}  {}, {went}", short(&image.digest)),
    }
}
