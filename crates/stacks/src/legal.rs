//! What AWS would refuse only in the middle of a run, for whichever target: names, ARNs, addresses, sizes. Each takes
//! the setting that it is about, with dots between the keys.

use crate::config::Problem;
use std::net::Ipv4Addr;

/// Whose region it is, of what has to be where the stack is.
pub(crate) const STACK: &str = "the stack is in";

/// What the parts of an ARN have to be.
pub(crate) struct Arn<'a> {
    pub service: &'a str,
    /// Which, and whose it is, for people; None: any.
    pub region: Option<(&'a str, &'a str)>,
    /// How its resource starts.
    pub resource: &'a str,
    /// For people.
    pub example: &'a str,
}

impl Arn<'_> {
    /// Why `arn` is none of these.
    pub(crate) fn refuses(&self, arn: &str) -> Option<String> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let &["arn", partition, service, region, account, resource] = parts.as_slice() else {
            return Some(format!("`{arn}` is not an ARN"));
        };
        if service != self.service {
            return Some(format!("`{arn}` is an ARN of `{service}` and not of `{}`", self.service));
        }
        let global = self.service == "iam";
        let account_fits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !partition.starts_with("aws")
            || region.is_empty() != global
            || !(account_fits || (global && account == "aws"))
        {
            return Some(format!("`{arn}` is not a whole ARN"));
        }
        if !resource.starts_with(self.resource) || resource.len() == self.resource.len() {
            return Some(format!("`{arn}` does not name a `{}`", self.resource.trim_end_matches(['/', ':'])));
        }
        let (wanted, whose) = self.region.filter(|(wanted, _)| *wanted != region)?;
        Some(format!("`{arn}` is in {region}, and {whose} {wanted}"))
    }
}

/// The host of `https://host/path`.
pub(crate) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':', '?']).next().unwrap_or_default()
}

pub(crate) fn is_name(name: &str) -> bool {
    name.contains('.') && name.split('.').all(is_label)
}

/// What may stand between two dots of a name.
pub(crate) fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Where browsers reach Coder, or something like it.
pub(crate) fn access_url(at: &str, url: &str) -> Option<Problem> {
    let host = host(url);
    if !url.starts_with("https://") {
        return Some(Problem::at(
            at,
            format!("`{url}` does not start with https://"),
            "it is reached over TLS; write it as people type it, like `https://coder.example.com`",
        ));
    }
    let bare = is_name(host) && url.trim_end_matches('/') == format!("https://{host}");
    (!bare).then(|| {
        Problem::at(
            at,
            format!("`{url}` is not a bare host"),
            "Coder wants its own name, without a port or a path, like `https://coder.example.com`",
        )
    })
}

/// Under which names the ports of workspaces are.
pub(crate) fn wildcard(at: &str, wildcard: &str) -> Option<Problem> {
    let fits = wildcard.strip_prefix("*.").is_some_and(is_name);
    let help = "write a star and a name, without https://, like `*.coder.example.com`";
    (!fits).then(|| Problem::at(at, format!("`{wildcard}` is not a wildcard name"), help))
}

/// A version as the tag of an image.
pub(crate) fn image_tag(at: &str, version: &str) -> Option<Problem> {
    let tag = version.replace('+', "-");
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = !tag.is_empty() && tag.len() <= 128 && tag.chars().all(legal) && !tag.starts_with(['.', '-']);
    (!fits).then(|| {
        Problem::at(
            at,
            format!("`{version}` cannot be the tag of an image"),
            "1 to 128 letters, digits, `.`, `_` and `-`, like `v2.28.3`",
        )
    })
}

/// Names of environment variables, of two tables that one program reads.
pub(crate) fn variables(tables: [(&str, Vec<&String>); 2]) -> Vec<Problem> {
    let mut out = vec![];
    let [(open, names), (secret, secrets)] = &tables;
    for name in secrets.iter().filter(|name| names.contains(name)) {
        let message = format!("`{name}` is both a secret and an open variable");
        out.push(Problem::at(open, message, format!("remove it from here or from `[{secret}]`")).key(name));
    }
    for (table, names) in &tables {
        for name in names {
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(legal) || name.starts_with(|c: char| c.is_ascii_digit()) {
                let message = format!("`{name}` cannot be the name of a variable");
                let help = "letters, digits and underscores, no digit first";
                out.push(Problem::at(table, message, help).key(name));
            }
        }
    }
    out
}

/// An IPv4 range: its first address and the length of its prefix.
pub(crate) fn ipv4_range(cidr: &str) -> Option<(u32, u8)> {
    let (address, length) = cidr.split_once('/')?;
    let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
    let length: u8 = length.parse().ok().filter(|l| *l <= 32)?;
    let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
    (address & host == 0).then_some((address, length))
}

pub(crate) fn range(at: &str, cidr: &str) -> Option<Problem> {
    let help = "write an IPv4 CIDR, like `203.0.113.0/24`";
    ipv4_range(cidr).is_none().then(|| Problem::at(at, format!("`{cidr}` is not a range of addresses"), help))
}

/// The retentions that CloudWatch Logs accepts, in days.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
const RETENTIONS: [u16; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub(crate) fn log_days(at: &str, days: u16) -> Option<Problem> {
    let help = || format!("CloudWatch knows {}", RETENTIONS.map(|d| d.to_string()).join(", "));
    let message = || format!("logs cannot be kept for {days} days");
    (!RETENTIONS.contains(&days)).then(|| Problem::at(at, message(), help()))
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>
pub(crate) fn repository(at: &str, name: &str) -> Option<Problem> {
    let part = |p: &str| {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        p.starts_with(legal)
            && p.ends_with(legal)
            && p.chars().all(|c| legal(c) || matches!(c, '.' | '_' | '-'))
    };
    if (2..=256).contains(&name.len()) && name.split('/').all(part) {
        return None;
    }
    Some(Problem::at(
        at,
        format!("`{name}` cannot be the name of a repository"),
        "2 to 256 lowercase letters, digits and single `.`, `_`, `-`, `/` between them, like `platform/coder`; \
         the address of the registry is not part of it",
    ))
}

/// The `version` and the `instance_class` of the database at `at`.
pub(crate) fn postgres(at: &str, version: &str, class: &str) -> Vec<Problem> {
    let mut out = vec![];
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let mut parts = version.split('.').map(number);
    let (major, minor, more) = (parts.next().flatten(), parts.next(), parts.next());
    if major.is_none() || minor == Some(None) || more.is_some() {
        out.push(Problem::at(
            &format!("{at}.version"),
            format!("`{version}` is not a version of PostgreSQL"),
            "the major version, or an exact one: `16` or `16.4`",
        ));
    } else if major.is_some_and(|major| major < 13) {
        out.push(Problem::at(
            &format!("{at}.version"),
            format!("Coder does not run on PostgreSQL {version}"),
            "it needs 13 or newer; `16` is the default",
        ));
    }
    let parts: Vec<&str> = class.split('.').collect();
    if !matches!(parts.as_slice(), ["db", family, size] if word(family) && word(size)) {
        out.push(Problem::at(
            &format!("{at}.instance_class"),
            format!("`{class}` is not a class of RDS"),
            "classes start with `db.`, like `db.t4g.medium`",
        ));
    }
    out
}

/// The `storage` and the `max_storage` of the database at `at`, in GiB.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html>
pub(crate) fn storage(at: &str, storage: u32, max_storage: u32) -> Vec<Problem> {
    let mut out = vec![];
    if storage < 20 || max_storage < storage {
        out.push(Problem::at(
            &format!("{at}.storage"),
            format!("{storage} GiB growing to {max_storage} GiB cannot work"),
            "gp3 starts at 20 GiB, and max_storage must not be smaller than storage",
        ));
    }
    if storage.max(max_storage) > 65_536 {
        out.push(Problem::at(
            &format!("{at}.max_storage"),
            format!("{} GiB are more than RDS has", storage.max(max_storage)),
            "gp3 ends at 65536 GiB",
        ));
    }
    out
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub(crate) fn bucket(at: &str, bucket: &str) -> Option<Problem> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = (3..=63).contains(&bucket.len())
        && bucket.chars().all(|c| plain(c) || c == '-' || c == '.')
        && bucket.starts_with(plain)
        && bucket.ends_with(plain)
        && !bucket.contains("..");
    let help = "3 to 63 lowercase letters, digits, hyphens and dots, a letter or digit first and last";
    (!fits).then(|| Problem::at(at, format!("`{bucket}` cannot be the name of a bucket"), help))
}

/// A type of EC2, at a setting where it usually is one like `example`.
pub(crate) fn instance_type(at: &str, kind: &str, example: &str) -> Option<Problem> {
    let fits = kind.split_once('.').is_some_and(|(family, size)| word(family) && word(size));
    let message = || format!("`{kind}` is not a type of EC2");
    (!fits).then(|| Problem::at(at, message(), format!("it looks like `{example}`")))
}

/// A part of the name of an instance class or type.
pub(crate) fn word(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_no_host_bits() {
        for wrong in ["10.0.0.0", "10.0.0.1/16", "10.0.0.0/33", "300.0.0.0/16"] {
            assert!(ipv4_range(wrong).is_none(), "{wrong}");
        }
        assert!(ipv4_range("0.0.0.0/0").is_some());
    }
}
