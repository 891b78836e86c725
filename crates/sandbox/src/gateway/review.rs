//! Who a token of EKS stands for: what the control plane asks AWS. The token is a signed call of STS that names the cluster; it
//! is sent, and the access entries of the cluster say what its caller is in Kubernetes.
//! <https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html>

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Method, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::State;
use super::fix::{Request, exchange};
use super::operation::form_value;
use super::refusal::Answer;
use super::route::Scope;
use super::xml::Element;

const PREFIX: &str = "k8s-aws-v1.";
/// The header that binds a token to a cluster.
const CLUSTER: &str = "x-k8s-aws-id";
/// For how long EKS takes a token, in seconds, whatever it says of itself.
const LASTS: i64 = 15 * 60;
/// Clocks differ; in seconds.
const AHEAD: i64 = 5 * 60;
/// A group of Kubernetes for each access policy and the namespaces that it is for; see [`crate::kubernetes`].
pub(crate) const POLICY_GROUP: &str = "eks-access-policy:";

/// Answers a `TokenReview` of the cluster at `ACCOUNT/REGION/CLUSTER`.
pub(super) async fn review(state: &Arc<State>, place: &str, body: &[u8]) -> Answer {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let token = asked["spec"]["token"].as_str().unwrap_or_default();
    let status = match identify(state, place, token).await {
        Ok(user) => json!({ "authenticated": true, "user": user, "audiences": asked["spec"]["audiences"] }),
        Err(why) => {
            tracing::debug!(why, place, "a token is refused");
            json!({ "authenticated": false, "error": why })
        }
    };
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status });
    Answer::new(StatusCode::OK, "application/json", review.to_string())
}

async fn identify(state: &Arc<State>, place: &str, token: &str) -> Result<Value, String> {
    let mut parts = place.splitn(3, '/');
    let (Some(account), Some(region), Some(cluster)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("no cluster is at {place}"));
    };
    let uri = question(token, &state.address.to_string(), jiff::Timestamp::now())?;
    let caller = caller(state, uri, cluster).await?;
    if caller.account != account {
        return Err(format!("{} is of another account", caller.arn));
    }
    let key = crate::account::credentials(account).map(|(key, _)| key).unwrap_or_default();
    let owner = Scope { access_key: key, region: region.to_owned(), service: "eks".to_owned() };
    entry(state, &owner, cluster, &caller).await
}

/// The call in a token, if EKS would send it. `here` is STS too, for clients that are told one address for all of AWS.
fn question(token: &str, here: &str, now: jiff::Timestamp) -> Result<Uri, String> {
    let text = token.strip_prefix(PREFIX).ok_or("token is missing expected \"k8s-aws-v1.\" prefix")?;
    let url =
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok().and_then(|url| String::from_utf8(url).ok());
    let uri: Uri = url.and_then(|url| url.parse().ok()).ok_or("token is not a URL in base64")?;
    let host = uri.host().unwrap_or_default();
    let sts = host == "sts.amazonaws.com"
        || host.strip_prefix("sts.").is_some_and(|rest| {
            rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn")).is_some()
        });
    let ours = uri.authority().is_some_and(|authority| authority.as_str() == here);
    if !ours && (uri.scheme_str() != Some("https") || !sts) {
        return Err(format!("unexpected hostname {host:?} in pre-signed URL"));
    }
    let query = uri.query().unwrap_or_default();
    let value = |name: &str| form_value(query.as_bytes(), name).unwrap_or_default();
    if uri.path() != "/" || value("Action") != "GetCallerIdentity" {
        return Err("unexpected action in pre-signed URL".to_owned());
    }
    if !value("X-Amz-SignedHeaders").split(';').any(|header| header == CLUSTER) {
        return Err(format!("client did not sign the {CLUSTER} header in the pre-signed URL"));
    }
    let signed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", value("X-Amz-Date"))
        .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|_| "error parsing X-Amz-Date parameter".to_owned())?;
    let age = now.as_second() - signed.timestamp().as_second();
    if !(-AHEAD..=LASTS).contains(&age) {
        return Err(format!("X-Amz-Date parameter is expired ({age} s old, {LASTS} s are allowed)"));
    }
    Ok(uri)
}

struct Caller {
    arn: String,
    account: String,
    id: String,
    key: String,
}

/// Sends the call. The emulators do not check signatures, so that of another cluster would pass too: the header is signed and
/// not told, and we tell it as the real control plane does.
async fn caller(state: &Arc<State>, uri: Uri, cluster: &str) -> Result<Caller, String> {
    let scope = Scope::of(&Default::default(), &uri).ok_or("the pre-signed URL is not signed")?;
    let key = scope.access_key.clone();
    let mut request = Request::to(&scope, "sts", "GetCallerIdentity", bytes::Bytes::new());
    request.method = Method::GET;
    request.uri = uri;
    if let Ok(cluster) = HeaderValue::from_str(cluster) {
        request.headers.insert(CLUSTER, cluster);
    }
    let answer = exchange(state, request).await;
    let text = String::from_utf8_lossy(&answer.body);
    let said = Element::parse(&text).filter(|_| answer.status.is_success());
    let said =
        said.ok_or_else(|| format!("error from AWS (expected 200, got {})", answer.status.as_u16()))?;
    let value = |name: &str| said.all(name).first().map(|element| element.text()).unwrap_or_default();
    Ok(Caller { arn: value("Arn"), account: value("Account"), id: value("UserId"), key })
}

/// What access entries may name, in the order in which they are looked for: the principal as STS tells it, and the role
/// behind a session or the user that moto makes up.
fn principals(arn: &str) -> Vec<String> {
    let mut names = vec![arn.to_owned()];
    let mut parts = arn.splitn(6, ':');
    if let (Some(_), Some(partition), Some("sts"), Some(_), Some(account), Some(what)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    {
        let own = match what.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next()) {
            Some(role) => format!("role/{role}"),
            None => what.to_owned(),
        };
        names.push(format!("arn:{partition}:iam::{account}:{own}"));
    }
    names
}

/// Whether an entry is for one of these names. EKS knows a role by its id, so its path does not count.
fn is_for(entry: &str, names: &[String]) -> bool {
    let flat = match entry.split_once(":role/") {
        Some((account, path)) => format!("{account}:role/{}", path.rsplit('/').next().unwrap_or(path)),
        None => entry.to_owned(),
    };
    names.iter().any(|name| name == entry || *name == flat)
}

async fn entry(state: &Arc<State>, owner: &Scope, cluster: &str, caller: &Caller) -> Result<Value, String> {
    let get = async |operation: &str, path: &str| -> Result<Value, String> {
        let mut request = Request::to(owner, "eks", operation, bytes::Bytes::new());
        request.method = Method::GET;
        request.uri =
            format!("/clusters/{cluster}/access-entries{path}").parse().map_err(|_| "a strange name")?;
        let answer = exchange(state, request).await;
        if !answer.status.is_success() {
            return Err(format!("{operation}: {}", answer.status.as_u16()));
        }
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    };
    let names = principals(&caller.arn);
    let listed = get("ListAccessEntries", "").await?;
    let entries = listed["accessEntries"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let Some(principal) = entries.rev().find(|entry| is_for(entry, &names)) else {
        return Err(format!("{} has no access entry in {cluster}", names.last().unwrap_or(&caller.arn)));
    };
    let segment = utf8_percent_encode(principal, NON_ALPHANUMERIC).to_string();
    let described = get("DescribeAccessEntry", &format!("/{segment}")).await?;
    let described = &described["accessEntry"];
    let policies = get("ListAssociatedAccessPolicies", &format!("/{segment}/access-policies")).await?;
    let mut groups: Vec<String> = described["kubernetesGroups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    groups.extend(
        policies["associatedAccessPolicies"].as_array().into_iter().flatten().flat_map(policy_groups),
    );
    let session =
        caller.arn.split("assumed-role/").nth(1).and_then(|rest| rest.split('/').nth(1)).unwrap_or_default();
    let username = described["username"].as_str().filter(|name| !name.is_empty()).unwrap_or(&caller.arn);
    let username = username
        .replace("{{SessionName}}", &session.replace('@', "-"))
        .replace("{{SessionNameRaw}}", session)
        .replace("{{AccountID}}", &caller.account);
    Ok(json!({
        "username": username,
        "uid": format!("aws-iam-authenticator:{}:{}", caller.account, caller.id),
        "groups": groups,
        "extra": {
            "accessKeyId": [caller.key],
            "arn": [caller.arn],
            "canonicalArn": [principal],
            "principalId": [caller.id],
            "sessionName": [session],
        },
    }))
}

/// The groups that stand for an associated policy: one, or one for each namespace.
pub(crate) fn policy_groups(associated: &Value) -> Vec<String> {
    let Some(policy) = associated["policyArn"].as_str().and_then(|arn| arn.rsplit('/').next()) else {
        return Vec::new();
    };
    if associated["accessScope"]["type"] != "namespace" {
        return vec![format!("{POLICY_GROUP}{policy}")];
    }
    let namespaces = associated["accessScope"]["namespaces"].as_array().into_iter().flatten();
    namespaces
        .filter_map(Value::as_str)
        .map(|namespace| format!("{POLICY_GROUP}{policy}:{namespace}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(url: &str) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url))
    }

    const HERE: &str = "127.0.0.1:4000";
    const GOOD: &str = "https://sts.eu-west-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Date=20260102T030405Z&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id";

    #[test]
    fn only_a_fresh_question_to_sts_that_names_the_cluster_is_sent() {
        let now: jiff::Timestamp = "2026-01-02T03:10:00Z".parse().unwrap();
        assert!(question(&token(GOOD), HERE, now).is_ok());
        let here = GOOD.replace("https://sts.eu-west-2.amazonaws.com", &format!("http://{HERE}"));
        assert!(question(&token(&here), HERE, now).is_ok());
        let later: jiff::Timestamp = "2026-01-02T03:19:06Z".parse().unwrap();
        assert!(question(&token(GOOD), HERE, later).unwrap_err().contains("expired"));
        for (part, other, word) in [
            ("sts.eu-west-2.amazonaws.com", "sts.example.com", "hostname"),
            ("https:", "http:", "hostname"),
            ("GetCallerIdentity", "GetSessionToken", "action"),
            ("host%3Bx-k8s-aws-id", "host", "x-k8s-aws-id"),
            ("20260102T030405Z", "yesterday", "X-Amz-Date"),
        ] {
            let said = question(&token(&GOOD.replace(part, other)), HERE, now).unwrap_err();
            assert!(said.contains(word), "{said}");
        }
        assert!(question("eyJhbGciOi", HERE, now).unwrap_err().contains("k8s-aws-v1."));
    }

    #[test]
    fn a_session_is_its_role_and_the_path_of_a_role_does_not_count() {
        let names = principals("arn:aws:sts::000000000001:assumed-role/admin/me");
        assert_eq!(names[1], "arn:aws:iam::000000000001:role/admin");
        assert!(is_for("arn:aws:iam::000000000001:role/team/admin", &names));
        assert!(!is_for("arn:aws:iam::000000000002:role/admin", &names));
        assert!(is_for("arn:aws:iam::1:user/me", &principals("arn:aws:iam::1:user/me")));
    }

    #[test]
    fn a_policy_for_namespaces_is_a_group_for_each() {
        let policy = |scope: Value| json!({ "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy", "accessScope": scope });
        assert_eq!(
            policy_groups(&policy(json!({ "type": "cluster" }))),
            ["eks-access-policy:AmazonEKSEditPolicy"]
        );
        let scoped = json!({ "type": "namespace", "namespaces": ["a", "b-*"] });
        assert_eq!(
            policy_groups(&policy(scoped)),
            ["eks-access-policy:AmazonEKSEditPolicy:a", "eks-access-policy:AmazonEKSEditPolicy:b-*"]
        );
    }
}
