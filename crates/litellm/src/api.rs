//! <https://docs.litellm.ai/docs/proxy/virtual_keys>, and the source of LiteLLM 1.106 where that is silent.

use causeway_core::Secret;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Whose keys these are, in LiteLLM.
pub const USER: &str = "causeway-workspaces";
/// Long enough for a server that has just been started.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Keys on one page of their list; LiteLLM gives no more.
const PAGE: usize = 100;
/// No list of ours is longer. A server that always has another page does not keep us for ever.
const PAGES: usize = 100;

/// Speaks to one LiteLLM, as who may do everything there.
pub struct LiteLlm {
    http: Client,
    url: String,
    master: Secret,
}

/// Why LiteLLM did not do it. No error holds a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered.
    #[error("LiteLLM does not answer at {url}")]
    Silent {
        /// What was asked.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// It does not know who we are.
    #[error("LiteLLM does not take the master key at {url}")]
    Stranger {
        /// What was asked.
        url: String,
    },
    /// It said no.
    #[error("LiteLLM answers {status} at {url}: {said}")]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// What it said, without what may be a key.
        said: String,
    },
    /// What it answered is something else.
    #[error("what answers at {url} does not speak as LiteLLM does")]
    Senseless {
        /// What was asked.
        url: String,
    },
    /// There is no key to ask with.
    #[error("the key cannot be used")]
    Sealed(#[from] causeway_core::secret::SealedSecret),
}

#[derive(Deserialize)]
struct Generated {
    key: String,
}

#[derive(Deserialize)]
struct Known {
    info: Json,
}

#[derive(Deserialize)]
struct Page {
    keys: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    key_alias: Option<String>,
}

impl LiteLlm {
    /// The LiteLLM at `url`, like `http://litellm.litellm.svc`. Nothing is sent.
    pub fn new(http: Client, url: &str, master: Secret) -> Self {
        LiteLlm { http, url: url.trim_end_matches('/').to_owned(), master }
    }

    /// Sees to it that there is a user whom keys belong to.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn ensure_user(&self) -> Result<(), Error> {
        let body = json!({ "user_id": USER, "auto_create_key": false });
        match self.post("/user/new", &body).await {
            // Versions differ in how they say that there is one.
            Err(Error::Refused { status, .. })
                if status == StatusCode::CONFLICT || status == StatusCode::BAD_REQUEST =>
            {
                let url = self.at("/user/info");
                let request = self.http.get(&url).query(&[("user_id", USER)]);
                self.ask(url, request).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Makes this key, for so many hours.
    ///
    /// # Errors
    /// [`Error`]; where the answer was lost, the key may be there.
    pub async fn generate(&self, key: &Secret, alias: &str, hours: u8) -> Result<(), Error> {
        let plain = key.expose()?;
        let body = json!({
            "key": plain,
            "key_alias": alias,
            "duration": format!("{hours}h"),
            "user_id": USER,
            "metadata": { "made_by": "causeway" },
        });
        let answer = self.post("/key/generate", &body).await?;
        match answer.json::<Generated>().await {
            Ok(generated) if generated.key == plain => Ok(()),
            _ => Err(Error::Senseless { url: self.at("/key/generate") }),
        }
    }

    /// Whether this key can be used now.
    ///
    /// # Errors
    /// [`Error`], where nobody can say.
    pub async fn works(&self, key: &Secret) -> Result<bool, Error> {
        let url = self.at("/key/info");
        // In a header: addresses are written into logs.
        let request = self.http.get(&url).bearer_auth(key.expose()?).timeout(TIMEOUT);
        let answer = request.send().await.map_err(|source| silent(&url, source))?;
        match answer.status() {
            // Whoever says yes to everything is no LiteLLM.
            StatusCode::OK => match answer.json::<Known>().await {
                Ok(known) if known.info.is_object() => Ok(true),
                _ => Err(Error::Senseless { url }),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(false),
            status => Err(Error::Refused { url, status, said: said(answer).await }),
        }
    }

    /// Has a key live so many hours from now. Nothing is done about one that there is not.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn extend(&self, key: &Secret, hours: u8) -> Result<bool, Error> {
        let body = json!({ "key": key.expose()?, "duration": format!("{hours}h") });
        found(self.post("/key/update", &body).await)
    }

    /// The aliases of our user's keys.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn aliases(&self) -> Result<Vec<String>, Error> {
        let url = self.at("/key/list");
        let mut all = vec![];
        for page in 1..=PAGES {
            let (page, size) = (page.to_string(), PAGE.to_string());
            let query = [("user_id", USER), ("return_full_object", "true"), ("page", &page), ("size", &size)];
            let answer = self.ask(url.clone(), self.http.get(&url).query(&query)).await?;
            let found = answer.json::<Page>().await;
            let found = found.map_err(|_| Error::Senseless { url: url.clone() })?.keys;
            let last = found.len() < PAGE;
            all.extend(found.into_iter().filter_map(|one| one.key_alias));
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// Deletes the key with this alias. Whether there was one.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn delete(&self, alias: &str) -> Result<bool, Error> {
        found(self.post("/key/delete", &json!({ "key_aliases": [alias] })).await)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn post(&self, path: &str, body: &Json) -> Result<Response, Error> {
        let url = self.at(path);
        let request = self.http.post(&url).json(body);
        self.ask(url, request).await
    }

    async fn ask(&self, url: String, request: RequestBuilder) -> Result<Response, Error> {
        let request = request.bearer_auth(self.master.expose()?).timeout(TIMEOUT);
        let answer = request.send().await.map_err(|source| silent(&url, source))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Stranger { url }),
            status => Err(Error::Refused { url, status, said: said(answer).await }),
        }
    }
}

fn found(answer: Result<Response, Error>) -> Result<bool, Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn silent(url: &str, source: reqwest::Error) -> Error {
    Error::Silent { url: url.to_owned(), source: source.without_url() }
}

/// Of `{"error": {"message": ".."}}`, a line, without words that begin as keys do.
async fn said(answer: Response) -> String {
    let body: Json = answer.json().await.unwrap_or_default();
    let text = body.pointer("/error/message").and_then(Json::as_str).unwrap_or("it says no more");
    let words = text.split_whitespace().map(|word| if word.contains("sk-") { "sk-.." } else { word });
    words.collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(300).collect()
}
