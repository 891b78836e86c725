//! Whether the edge serves a release: asked as a visitor would, and compared with the manifest.

use crate::{
    error::Error,
    progress::{Event, Watch},
    spelling,
    wanted::Content,
};
use causeway_site::{Encoding, File, Manifest, ReleaseId, Style, layout};
use flate2::write::GzDecoder;
use futures::{StreamExt, stream};
use reqwest::{Client, Response, header, redirect};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    io::{self, Write},
    time::Duration,
};
use tokio::time::Instant;

/// Between two looks while the edge catches up.
const PAUSE: Duration = Duration::from_millis(500);

/// Bytes that are decompressed at once.
const PIECE: usize = 16 * 1024;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Redirects and patterns that are asked for at most.
const MOST_REDIRECTS: usize = 50;

/// Changed files that are asked for at most.
const MOST_CHANGED: usize = 1000;

/// A site as visitors reach it.
#[derive(Clone, Debug)]
pub struct Edge {
    client: Client,
    base: String,
    host: Option<String>,
}

/// How much is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Files that did not change, evenly over all.
    pub sample: usize,
    /// Questions at once.
    pub jobs: usize,
    /// For how long the edge may take to show a release.
    pub patience: Duration,
}

impl Default for Depth {
    fn default() -> Self {
        Depth { sample: 50, jobs: 16, patience: Duration::from_secs(180) }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The release that the edge serves.
    pub release: Option<ReleaseId>,
    /// Questions.
    pub asked: usize,
    /// What is not as the manifest says.
    pub wrong: Vec<Wrong>,
}

/// An answer that is not as the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wrong {
    /// What was asked for.
    pub url: String,
    /// What is wrong with the answer.
    pub why: String,
    /// Whether waiting does not help: headers do not change by themselves under the name of a release.
    #[serde(skip)]
    lasting: bool,
}

/// A question, and the answer to it.
enum Question {
    /// A file, by its URL, in one of its forms.
    File(String, Box<File>, Option<Encoding>),
    /// Where a URL leads: status and target.
    Lead(String, u16, String),
    /// What there is not: the digest of the error page, where the site has one.
    Nothing(String, Option<String>),
}

impl Edge {
    /// The site at `url`. With `through` it is asked there, under its own name.
    ///
    /// # Errors
    /// [`Error::Visit`]: there is no TLS.
    pub fn new(url: &str, through: Option<&str>) -> Result<Edge, Error> {
        let visit = |source: reqwest::Error| Error::Visit { url: url.to_owned(), source: source.into() };
        let mut builder = Client::builder().redirect(redirect::Policy::none()).timeout(LIMIT);
        if through.is_some() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(visit)?;
        let url = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let url = url.trim_end_matches('/').to_owned();
        let host = through.and_then(|_| url.split_once("://")).map(|(_, host)| host.to_owned());
        let base = through.map_or(url, |through| through.trim_end_matches('/').to_owned());
        Ok(Edge { client, base, host })
    }

    /// The manifest of what the edge serves.
    ///
    /// # Errors
    /// [`Error`]: the site does not answer, or publishes no manifest.
    pub async fn manifest(&self) -> Result<Manifest, Error> {
        let path = format!("/{}", layout::MANIFEST);
        let failed = |source: reqwest::Error| Error::Visit {
            url: format!("{}{path}", self.base),
            source: source.into(),
        };
        let answer = self.ask(&path, None).await.map_err(failed)?.error_for_status().map_err(failed)?;
        let body = answer.bytes().await.map_err(failed)?;
        let what = format!("{}{path}", self.base);
        serde_json::from_slice(&body).map_err(|source| Error::Decode { what, source })
    }

    async fn ask(&self, path: &str, encoding: Option<Encoding>) -> Result<Response, reqwest::Error> {
        let accepted = encoding.map_or("identity", Encoding::name);
        let request =
            self.client.get(format!("{}{path}", self.base)).header(header::ACCEPT_ENCODING, accepted);
        match &self.host {
            Some(host) => request.header(header::HOST, host),
            None => request,
        }
        .send()
        .await
    }
}

/// Asks the edge for all of `changed`, a sample of the rest, the error page and where paths lead, once it serves the release.
///
/// # Errors
/// [`Error::Visit`] if it does not answer at all.
pub async fn verify(
    edge: &Edge,
    manifest: &Manifest,
    changed: &[String],
    depth: &Depth,
    watch: Watch<'_>,
) -> Result<Verified, Error> {
    watch(Event::Verifying);
    let id = &manifest.release.id;
    let until = Instant::now() + depth.patience;
    let served = loop {
        let answer = edge.manifest().await;
        let late = Instant::now() >= until;
        match answer {
            Ok(served) if served.release.id == *id || late => break served,
            Err(error) if late => return Err(error),
            _ => tokio::time::sleep(PAUSE).await,
        }
    };
    let mut verified = Verified { release: Some(served.release.id.clone()), ..Verified::default() };
    if served.release.id != *id {
        let why = format!("the edge serves {} and not {id}", served.release.id);
        verified.wrong.push(Wrong { url: format!("/{}", layout::MANIFEST), why, lasting: false });
        return Ok(verified);
    }
    let mut questions = questions(manifest, changed, depth.sample);
    verified.asked = questions.len();
    // Where the edge has many places one may lag behind: what is wrong is asked for again.
    loop {
        let mut asked = vec![];
        for question in questions {
            asked.push(async move { wrong(edge, &question).await.map(|wrong| (question, wrong)) });
        }
        let asked = stream::iter(asked).buffer_unordered(depth.jobs.max(1));
        let wrong: Vec<(Question, Wrong)> = asked.filter_map(|found| async { found }).collect().await;
        if wrong.is_empty() {
            return Ok(verified);
        }
        if Instant::now() >= until || wrong.iter().all(|(_, wrong)| wrong.lasting) {
            verified.wrong = wrong.into_iter().map(|(_, wrong)| wrong).collect();
            verified.wrong.sort();
            return Ok(verified);
        }
        questions = wrong.into_iter().map(|(question, _)| question).collect();
        tokio::time::sleep(PAUSE).await;
    }
}

fn questions(manifest: &Manifest, changed: &[String], sample: usize) -> Vec<Question> {
    let content = Content::published(manifest);
    let id = &manifest.release.id;
    let mut paths: BTreeSet<&String> =
        changed.iter().filter(|path| content.files.contains_key(*path)).take(MOST_CHANGED).collect();
    let rest: Vec<&String> = content.files.keys().filter(|path| !paths.contains(path)).collect();
    let step = rest.len().div_ceil(sample.max(1)).max(1);
    paths.extend(rest.into_iter().step_by(step).take(sample));
    let leads_away = |url: &str| content.redirects.get(url).is_some_and(|lead| !lead.starts_with("200 "));
    let mut questions = vec![];
    for path in paths {
        let url = spelling::url(content.style, path);
        // What a redirect hides cannot be seen.
        if let Some(file) = content.files.get(path).filter(|_| !leads_away(&url) && !ruled(&content, &url)) {
            let ask = |encoding| Question::File(url.clone(), Box::new(file.clone()), encoding);
            questions.extend(layout::forms(&content.encodings, path).map(ask));
        }
    }
    let exact = content.redirects.iter().filter_map(|(path, lead)| {
        let (status, target) = lead.split_once(' ')?;
        Some((path.clone(), status.parse::<u16>().ok()?, target.to_owned()))
    });
    let exact = exact.filter(|(_, status, _)| *status != 200).take(MOST_REDIRECTS);
    questions.extend(exact.map(|(path, status, target)| Question::Lead(path, status, target)));
    let page = content.files.get("404.html").map(|page| page.sha256.clone());
    let slash = if content.style == Style::Directory { "/" } else { "" };
    let nowhere = format!("/nothing-is-here-{id}{slash}");
    if !ruled(&content, &nowhere) {
        questions.push(Question::Nothing(nowhere, page));
    }
    questions
}

/// Whether a pattern may be meant by `url`: then it leads somewhere else than its file.
fn ruled(content: &Content, url: &str) -> bool {
    let given: Vec<&str> = url.split('/').collect();
    content.rules.iter().any(|(pattern, ..)| {
        let mut wanted = pattern.split('/').enumerate();
        wanted.all(|(n, segment)| match given.get(n) {
            _ if segment == "*" => true,
            Some(given) => segment.starts_with(':') || segment == *given,
            None => false,
        })
    })
}

/// What is wrong with the answer to a question.
async fn wrong(edge: &Edge, question: &Question) -> Option<Wrong> {
    let url = match question {
        Question::File(url, ..) | Question::Lead(url, ..) | Question::Nothing(url, _) => url.clone(),
    };
    let asked = if let Question::File(_, _, encoding) = question { *encoding } else { None };
    let mut lasting = false;
    let why = match edge.ask(&url, asked).await {
        Err(error) => Some(format!("does not answer: {error}")),
        Ok(answer) => match question {
            Question::File(_, file, encoding) => {
                // Immutable files are there as they are until all of them are compressed, those of other releases, too.
                let plain = file.immutable && !answer.headers().contains_key(header::CONTENT_ENCODING);
                let encoding = encoding.filter(|_| !plain);
                match wrong_headers(&answer, file, encoding) {
                    Some(why) => {
                        lasting = answer.status().as_u16() == 200;
                        Some(why)
                    }
                    None => wrong_content(answer, file, encoding).await,
                }
            }
            Question::Lead(_, status, target) => wrong_lead(&answer, *status, target),
            Question::Nothing(_, page) => wrong_error(answer, page.as_deref()).await,
        },
    };
    let why = why.map(|why| asked.map_or(why.clone(), |encoding| format!("{why}, to who takes {encoding}")));
    why.map(|why| Wrong { url, why, lasting })
}

fn wrong_headers(answer: &Response, file: &File, encoding: Option<Encoding>) -> Option<String> {
    let status = answer.status().as_u16();
    if status != 200 {
        return Some(format!("answers {status} instead of 200"));
    }
    let mut wanted = vec![
        ("content-type", file.content_type.as_str()),
        ("cache-control", &file.cache_control),
        ("content-encoding", encoding.map_or("", Encoding::name)),
    ];
    wanted.extend(encoding.map(|_| ("vary", "accept-encoding")));
    wanted.extend(file.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    for (name, value) in wanted {
        let said = answer.headers().get(name).and_then(|said| said.to_str().ok()).unwrap_or_default();
        // The edge adds to what is said to vary.
        let right = if name == "vary" { lists(said, value) } else { said == value };
        if !right {
            return Some(format!("has `{name}: {said}` instead of `{value}`"));
        }
    }
    None
}

/// Whether a list has all that another has.
fn lists(all: &str, wanted: &str) -> bool {
    let words =
        |list: &str| list.split(',').map(|word| word.trim().to_ascii_lowercase()).collect::<BTreeSet<_>>();
    words(all).is_superset(&words(wanted))
}

async fn wrong_content(answer: Response, file: &File, encoding: Option<Encoding>) -> Option<String> {
    match digest(answer, encoding).await {
        Ok(digest) if digest == file.sha256 => None,
        Ok(_) => Some("is not what was published".to_owned()),
        Err(error) => Some(format!("ends early: {error}")),
    }
}

fn wrong_lead(answer: &Response, status: u16, target: &str) -> Option<String> {
    let said = answer.headers().get(header::LOCATION).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let right = answer.status().as_u16() == status && said == target;
    (!right).then(|| {
        format!("answers {} to `{said}` instead of {status} to `{target}`", answer.status().as_u16())
    })
}

async fn wrong_error(answer: Response, page: Option<&str>) -> Option<String> {
    let status = answer.status().as_u16();
    if status != 404 {
        return Some(format!("answers {status} for what there is not, instead of 404"));
    }
    match (page, digest(answer, None).await) {
        (Some(page), Ok(digest)) if digest != page => {
            Some("is not the error page that was published".to_owned())
        }
        (_, Err(error)) => Some(format!("ends early: {error}")),
        _ => None,
    }
}

/// The digest of what an answer holds, decompressed.
async fn digest(mut answer: Response, encoding: Option<Encoding>) -> Result<String, String> {
    let mut plain: Box<dyn Plain> = match encoding {
        None => Box::new(Hash(Sha256::new())),
        Some(Encoding::Gzip) => Box::new(GzDecoder::new(Hash(Sha256::new()))),
        Some(Encoding::Br) => Box::new(brotli::DecompressorWriter::new(Hash(Sha256::new()), PIECE)),
    };
    while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
        plain.write_all(&piece).map_err(|error| error.to_string())?;
    }
    plain.digest().map_err(|error| error.to_string())
}

/// Takes an answer piece by piece.
trait Plain: Write + Send {
    fn digest(self: Box<Self>) -> io::Result<String>;
}

struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.update(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Plain for Hash {
    fn digest(self: Box<Self>) -> io::Result<String> {
        Ok(hex::encode(self.0.finalize()))
    }
}

impl Plain for GzDecoder<Hash> {
    fn digest(self: Box<Self>) -> io::Result<String> {
        Box::new((*self).finish()?).digest()
    }
}

impl Plain for brotli::DecompressorWriter<Hash> {
    fn digest(mut self: Box<Self>) -> io::Result<String> {
        self.close()?;
        let hash = (*self).into_inner().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        Box::new(hash).digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scan, wanted::Choices};

    #[test]
    fn changed_files_are_all_asked_for_and_of_the_rest_some() {
        let found = |i: usize| (format!("{i}/index.html"), scan::Found { sha256: "00".into(), size: 1 });
        let files = (0..1000).map(found).collect();
        let redirects = Some("/5/ /6/ 301\n/old /new\n/7/* /8/:splat\n".to_owned());
        let tree = scan::Tree { root: "x".into(), files, headers: None, redirects };
        let content = Content::of(&tree, &Choices::default()).unwrap();
        let id = ReleaseId::new(jiff::Timestamp::UNIX_EPOCH, [0; 32]);
        let manifest = content.manifest(&id, jiff::Timestamp::UNIX_EPOCH);
        let changed = ["3/index.html", "5/index.html", "7/index.html", "gone"].map(str::to_owned);
        let questions = questions(&manifest, &changed, 10);
        let files: Vec<&String> = questions
            .iter()
            .filter_map(|q| if let Question::File(url, ..) = q { Some(url) } else { None })
            .collect();
        assert!(files.contains(&&"/3/".to_owned()));
        assert!(
            !files.contains(&&"/5/".to_owned()) && !files.contains(&&"/7/".to_owned()),
            "they lead elsewhere"
        );
        assert_eq!(files.len(), 11);
        let leads = questions.iter().filter(|q| matches!(q, Question::Lead(..))).count();
        assert_eq!(
            (leads, questions.len()),
            (4, 16),
            "both spellings of two redirects, and what there is not"
        );
    }
}
