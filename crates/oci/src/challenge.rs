//! What a registry asks for before it answers: <https://distribution.github.io/distribution/spec/auth/token/>.

use serde::Deserialize;

/// Of the header `WWW-Authenticate`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token, from `realm`, with these questions.
    Bearer { realm: String, asks: Vec<(String, String)> },
    /// A name and a password.
    Basic,
}

/// What a realm answers. Which of the two names is used depends on the registry.
#[derive(Deserialize)]
pub(crate) struct Issued {
    token: Option<String>,
    access_token: Option<String>,
}

impl Issued {
    pub(crate) fn token(self) -> Option<String> {
        self.token.or(self.access_token)
    }
}

impl Challenge {
    /// `None` for what we do not know.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut asks = parameters(rest);
        let realm = asks.iter().position(|(name, _)| name == "realm")?;
        let (_, realm) = asks.remove(realm);
        asks.retain(|(name, _)| name == "service" || name == "scope");
        Some(Challenge::Bearer { realm, asks })
    }
}

/// `a="b, c",d=e`
fn parameters(mut rest: &str) -> Vec<(String, String)> {
    let mut out = vec![];
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        out.push((name, value.to_owned()));
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_ask_for_is_understood() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push",error="x""#;
        let asks = [("service", "registry.docker.io"), ("scope", "repository:a/b:pull,push")];
        let asks = asks.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
        let realm = "https://auth.docker.io/token".to_owned();
        assert_eq!(Challenge::parse(hub), Some(Challenge::Bearer { realm, asks }));
        let plain = Challenge::parse("bearer Realm=https://a/t, service=b");
        let asks = vec![("service".to_owned(), "b".to_owned())];
        assert_eq!(plain, Some(Challenge::Bearer { realm: "https://a/t".into(), asks }));
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Bearer service=\"x\""), None);
        assert_eq!(Challenge::parse("Negotiate"), None);
    }
}
