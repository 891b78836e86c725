//! `[zones.NAME]`: who keeps a zone, and how that is reached.

use causeway_core::Secret;
use causeway_dns::{Name, provider::rfc2136};
use causeway_settings::{Missing, Problem, SecretSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::Path};

/// The port of DNS.
const PORT: u16 = 53;

/// A zone, and how its provider is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneConfig {
    /// Who keeps it: `cloudflare`, `route53`, or `rfc2136` for a server with dynamic updates, like BIND, Knot and PowerDNS.
    pub provider: ProviderName,
    /// Cloudflare: where the token is to be found, `env:NAME` or `file:PATH`. It needs DNS:Edit, and Zone:Read where `id` is
    /// left out.
    pub token: Option<SecretSource>,
    /// Cloudflare and Route 53: what the provider calls the zone. Looked up by its name if left out.
    pub id: Option<String>,
    /// Cloudflare: what the zone is on. `free` holds everywhere, `paid` takes more changes a call.
    pub plan: Option<PlanName>,
    /// Cloudflare: where the API is, for tests and proxies.
    pub api: Option<String>,
    /// Route 53: the profile of the AWS CLI. Credentials are found as the AWS CLI finds them.
    pub profile: Option<String>,
    /// A server with dynamic updates: where it is, `ns1.example.com` or `192.0.2.53`, with `:PORT` if that is not 53.
    pub server: Option<String>,
    /// A server with dynamic updates: what messages are signed with. They are not if left out.
    pub key: Option<KeyConfig>,
}

/// Who keeps a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderName {
    /// Cloudflare.
    Cloudflare,
    /// Route 53, in a program that was built with it.
    Route53,
    /// A server that takes dynamic updates and transfers its zone.
    Rfc2136,
}

/// What a zone at Cloudflare is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlanName {
    /// 200 changes a call.
    #[default]
    Free,
    /// 3,500 changes a call.
    Paid,
    /// As `paid`, with TTLs from 30 seconds on.
    Enterprise,
}

/// What messages to a server are signed with (TSIG).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// What the server calls it.
    pub name: String,
    /// Where the key itself is to be found, in Base64 as `tsig-keygen` writes it: `env:NAME` or `file:PATH`.
    pub secret: SecretSource,
    /// How messages are signed.
    #[serde(default)]
    pub algorithm: AlgorithmName,
}

/// How messages are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlgorithmName {
    /// HMAC with SHA-256.
    #[default]
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl From<AlgorithmName> for rfc2136::Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::HmacSha256 => rfc2136::Algorithm::Sha256,
            AlgorithmName::HmacSha384 => rfc2136::Algorithm::Sha384,
            AlgorithmName::HmacSha512 => rfc2136::Algorithm::Sha512,
        }
    }
}

impl ProviderName {
    fn called(self) -> &'static str {
        match self {
            ProviderName::Cloudflare => "Cloudflare",
            ProviderName::Route53 => "Route 53",
            ProviderName::Rfc2136 => "a server with dynamic updates",
        }
    }

    /// What a zone there can have beside its provider.
    fn keys(self) -> &'static [&'static str] {
        match self {
            ProviderName::Cloudflare => &["token", "id", "plan", "api"],
            ProviderName::Route53 => &["id", "profile"],
            ProviderName::Rfc2136 => &["server", "key"],
        }
    }

    /// Whether it can stand in front of a name.
    pub fn proxies(self) -> bool {
        self == ProviderName::Cloudflare
    }
}

impl ZoneConfig {
    /// `host:port` of the server with dynamic updates. `None`: it is no address.
    pub(crate) fn server_address(&self) -> Option<String> {
        let server = self.server.as_deref()?;
        if let Ok(ip) = server.parse::<IpAddr>() {
            return Some(std::net::SocketAddr::from((ip, PORT)).to_string());
        }
        if server.parse::<std::net::SocketAddr>().is_ok() {
            return Some(server.to_owned());
        }
        let (host, port) = match server.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (server, PORT),
        };
        Name::parse(host).ok().map(|name| format!("{name}:{port}"))
    }

    /// The secret that the provider is reached with, and the keys at which it is named. `None`: there is none to look up.
    pub(crate) fn secret(
        &self,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Option<(&'static [&'static str], Result<Secret, Missing>)> {
        let (source, at): (_, &[&str]) = match self.provider {
            ProviderName::Cloudflare => (self.token.as_ref()?, &["token"]),
            ProviderName::Rfc2136 => (&self.key.as_ref()?.secret, &["key", "secret"]),
            ProviderName::Route53 => return None,
        };
        Some((at, source.look_up(folder, environment)?))
    }

    /// What cannot work about the zone `name`.
    pub(crate) fn problems(&self, name: &str) -> Vec<Problem> {
        let mut out = vec![];
        let mut wrong = |keys: &[&str], message: String, help: String| {
            let path = ["zones", name].iter().chain(keys).map(|&key| key.to_owned()).collect();
            out.push(Problem { path, message, help });
        };
        let spelling = || "write the name of the zone".to_owned();
        match Name::parse(name) {
            Err(e) => wrong(&[], e.to_string(), spelling()),
            Ok(parsed) if parsed.as_str().starts_with("*.") => {
                wrong(&[], "a zone has no wildcard in its name".into(), spelling());
            }
            Ok(_) => {}
        }
        for key in self.present().into_iter().filter(|key| !self.provider.keys().contains(key)) {
            let message = format!("a zone at {} has no `{key}`", self.provider.called());
            wrong(&[key], message, format!("take it out; there is {}", self.provider.keys().join(", ")));
        }
        match self.provider {
            ProviderName::Cloudflare if self.token.is_none() => wrong(
                &[],
                "`token` is missing".into(),
                "a zone at Cloudflare needs one with DNS:Edit: `token = \"env:CLOUDFLARE_API_TOKEN\"`".into(),
            ),
            ProviderName::Route53 if !cfg!(feature = "route53") => wrong(
                &["provider"],
                "this program was built without Route 53".into(),
                "build it with `--features route53`".into(),
            ),
            ProviderName::Rfc2136 if self.server.is_none() => wrong(
                &[],
                "`server` is missing".into(),
                "name the primary server of the zone: `server = \"ns1.example.com\"`".into(),
            ),
            ProviderName::Rfc2136 if self.server_address().is_none() => wrong(
                &["server"],
                "`server` is no name and no address".into(),
                "like `ns1.example.com`, `192.0.2.53` or `192.0.2.53:5353`".into(),
            ),
            _ => {}
        }
        let secrets: [(&[&str], _); 2] =
            [(&["token"], self.token.as_ref()), (&["key", "secret"], self.key.as_ref().map(|k| &k.secret))];
        for (keys, source) in secrets {
            if matches!(source, Some(SecretSource::Aws { .. })) {
                let what = if keys.len() == 1 { "token" } else { "key" };
                let message = format!("the {what} has to be where this program can read it");
                wrong(keys, message, "write `env:NAME` or `file:PATH`".into());
            }
        }
        if self.api.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            let help = "like `https://api.cloudflare.com/client/v4`; leave it out for that one";
            wrong(&["api"], "`api` is no URL".into(), help.into());
        }
        out
    }

    /// The keys beside `provider` that stand in the file.
    fn present(&self) -> Vec<&'static str> {
        let all = [
            ("token", self.token.is_some()),
            ("id", self.id.is_some()),
            ("plan", self.plan.is_some()),
            ("api", self.api.is_some()),
            ("profile", self.profile.is_some()),
            ("server", self.server.is_some()),
            ("key", self.key.is_some()),
        ];
        all.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_or_an_address_with_the_port_of_dns() {
        let of = |server: &str| {
            let zone = serde_json::json!({"provider": "rfc2136", "server": server});
            serde_json::from_value::<ZoneConfig>(zone).unwrap().server_address()
        };
        for (server, at) in [
            ("ns1.example.com", "ns1.example.com:53"),
            ("ns1.example.com:5353", "ns1.example.com:5353"),
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:1053", "192.0.2.53:1053"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:1053", "[2001:db8::53]:1053"),
        ] {
            assert_eq!(of(server).as_deref(), Some(at));
        }
        assert_eq!((of("two words"), of("ns1.example.com:dns"), of("")), (None, None, None));
    }
}
