//! `deploy vendor`: everything that clusters get from the internet, in a folder.

use super::Run;
use crate::{
    document,
    failure::{Code, Failure},
    internet,
    screen::Screen,
    session,
};
use causeway_k8s::lock::{self, DEFINITIONS, Fetching, INDEX, Lock};
use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder; what is in it already and right is kept
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Fetch only the definitions of custom resources
    #[arg(long)]
    no_images: bool,
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let lock = Lock::beside(file.folder())?;
    // What is not for our objects would not be used.
    lock.images()?;
    let client = internet::client()?;
    let bundles = internet::bundles(&client, &lock);
    let shown = progress(run.screen, "fetching");
    let registries = internet::registries(&client)?;
    let (folder, images) = (&flags.folder, !flags.no_images);
    let vendored = lock::vendor(&lock, folder, &registries, &bundles, images, &shown).await?;
    // It is drawn where the answer goes.
    drop(shown);
    let folder = folder.display();
    let size = |bytes: u64| indicatif::DecimalBytes(bytes).to_string();
    let all: u64 = vendored.images.iter().map(|image| image.size).sum();
    let came: u64 = vendored.images.iter().map(|image| image.came).sum();
    run.screen
        .say(&format!("{folder}/{DEFINITIONS}: {} files with definitions.", vendored.definitions.len()));
    for image in &vendored.images {
        let text =
            format!("{folder}/{}: {} {}, {}.", image.path, image.image, image.version, size(image.size));
        run.screen.say(&text);
    }
    if images {
        let text =
            format!("{} images, {}, of which {} came now.", vendored.images.len(), size(all), size(came));
        run.screen.say(&text);
        run.screen.say(&format!("{folder}/{INDEX} lists them. A registry of yours gets one by"));
        if let Some(image) = vendored.images.last() {
            run.screen.whole(&format!(
                "    skopeo copy --all --preserve-digests oci:{folder}/{} docker://REGISTRY/{}:{}",
                image.path, image.image, image.version
            ));
        }
    }
    if run.screen.json() {
        let result = document::Vendor { folder: folder.to_string(), came, vendored };
        run.screen.document(&document::done(run.name, Code::Done, result));
    }
    Ok(Code::Done)
}

/// Shows how far it is: on a terminal as a bar, otherwise a line for each image.
pub(super) fn progress(screen: &Screen, doing: &'static str) -> impl Fn(Fetching<'_>) + Sync + use<> {
    let bar = screen.live().then(|| {
        let bar = indicatif::ProgressBar::new(0);
        let style = "{spinner} {prefix} {decimal_bytes} of {decimal_total_bytes}";
        bar.set_style(
            indicatif::ProgressStyle::with_template(style)
                .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()),
        );
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    });
    let last = Mutex::new(String::new());
    move |Fetching { name, there, size }| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match &bar {
            Some(bar) => {
                bar.set_prefix(name.to_owned());
                bar.set_length(size);
                bar.set_position(there);
            }
            None if *last != name => crate::screen::aside(&format!("{doing} `{name}`")),
            None => {}
        }
        name.clone_into(&mut last);
    }
}
