//! Policy documents, as IAM, KMS, SNS and ECR take them:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>.
//!
//! The JSON grammar allows many spellings of one meaning: one string or a list, any order, an account by its number
//! or by the ARN of its root. Here each meaning has one form, so that what a service gives back compares equal to
//! what it was given, and resources, principals and conditions may name what another resource puts out.

use causeway_core::{Set, Value, value::Unresolved};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The current version of the policy language.
const VERSION: &str = "2012-10-17";
/// What a document without a version is written in.
pub(crate) const OLD_VERSION: &str = "2008-10-17";

/// A policy document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyDocument {
    /// The version of the language: `2012-10-17`, unless the document was read from JSON that says otherwise.
    pub version: String,
    /// Some services ask for an id.
    #[serde(default)]
    pub id: Option<String>,
    /// Kept in this order, as AWS does.
    pub statements: Vec<Statement>,
}

/// One statement: who may do what with what, under which conditions.
///
/// Of each pair `x` and `not_x` AWS allows one; empty means absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// A name for people.
    #[serde(default)]
    pub sid: Option<String>,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// Whom it is about. Empty in policies that are attached to an identity.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub principals: Set<Principal>,
    /// Everybody but these.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub not_principals: Set<Principal>,
    /// Like `ecr:GetAuthorizationToken` or `s3:*`.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub actions: Set<String>,
    /// All actions but these.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub not_actions: Set<String>,
    /// ARNs, with wildcards where wanted. Empty in trust policies and in those of a repository.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub resources: Set<String>,
    /// All resources but these.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub not_resources: Set<String>,
    /// All of them must hold. Written even when empty, so that a condition that somebody added is seen.
    #[serde(default)]
    pub conditions: Set<Condition>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Grants.
    Allow,
    /// Forbids, whatever else allows it.
    Deny,
}

/// Principals of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Principal {
    /// `AWS`, `Service`, `Federated`, `CanonicalUser`, or `*` for everybody.
    pub kind: String,
    /// ARNs, account numbers, service names or identity providers.
    pub ids: Set<String>,
}

/// One condition: the operator holds for the key and one of the values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Like `StringEquals`.
    pub operator: String,
    /// Like `aws:SourceArn`.
    pub key: Value<String>,
    /// Any of these. Booleans and numbers as text.
    pub values: Set<String>,
}

fn is_empty<T>(set: &Set<T>) -> bool {
    set.0.is_empty()
}

#[allow(dead_code, reason = "not every service has policies")]
impl PolicyDocument {
    /// A document in the current version of the language.
    pub fn new(statements: impl IntoIterator<Item = Statement>) -> Self {
        PolicyDocument { version: VERSION.into(), id: None, statements: statements.into_iter().collect() }
    }

    /// Reads a document from the JSON that AWS documents and services use.
    ///
    /// # Errors
    /// If it is not JSON, or not a policy.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Written>(text).map(Into::into)
    }

    /// The document as services take it.
    ///
    /// # Errors
    /// While it refers to something that has not been applied.
    pub fn text(&self) -> Result<String, Unresolved> {
        let mut document = Map::new();
        document.insert("Version".into(), self.version.clone().into());
        if let Some(id) = &self.id {
            document.insert("Id".into(), id.clone().into());
        }
        let statements = self.statements.iter().map(Statement::json).collect::<Result<Vec<_>, _>>()?;
        document.insert("Statement".into(), statements.into());
        Ok(Json::Object(document).to_string())
    }

    /// A document that says nothing: what a live spec shows where there is no policy.
    pub(crate) fn nothing() -> Self {
        PolicyDocument { version: String::new(), id: None, statements: vec![] }
    }

    /// Whether both mean the same.
    pub(crate) fn means(&self, other: &Self) -> bool {
        serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }

    /// Whether it names a role, a user or an account. Such a principal may be so new that the service does not see
    /// it yet, and then the service calls the whole document malformed.
    pub fn names_principals(&self) -> bool {
        self.statements
            .iter()
            .flat_map(|s| s.principals.0.iter().chain(&s.not_principals.0))
            .any(|principal| principal.get().is_ok_and(|p| p.kind == "AWS" || p.kind == "Federated"))
    }
}

impl Statement {
    /// Allows `actions` on `resources`.
    pub fn allow<A, R>(actions: A, resources: R) -> Self
    where
        A: IntoIterator,
        A::Item: Into<String>,
        R: IntoIterator,
        R::Item: Into<Value<String>>,
    {
        Statement {
            sid: None,
            effect: Effect::Allow,
            principals: Set::default(),
            not_principals: Set::default(),
            actions: actions.into_iter().map(Into::<String>::into).collect(),
            not_actions: Set::default(),
            resources: resources.into_iter().collect(),
            not_resources: Set::default(),
            conditions: Set::default(),
        }
    }

    /// Lets `principal` assume the role that this stands in; `action` is one of the `sts:AssumeRole..` calls.
    pub fn assume(action: &str, principal: Principal) -> Self {
        Statement::allow([action], [""; 0]).to([principal])
    }

    /// The same for `principals` only, as in a policy that is attached to a resource.
    pub fn to(mut self, principals: impl IntoIterator<Item = Principal>) -> Self {
        self.principals = principals.into_iter().collect();
        self
    }

    /// The same, only when `operator` holds for `key` and one of `values`.
    pub fn when<V>(mut self, operator: &str, key: impl Into<Value<String>>, values: V) -> Self
    where
        V: IntoIterator,
        V::Item: Into<Value<String>>,
    {
        self.conditions.0.push(Value::Known(Condition {
            operator: operator.into(),
            key: key.into(),
            values: values.into_iter().collect(),
        }));
        self
    }

    fn json(&self) -> Result<Json, Unresolved> {
        let mut statement = Map::new();
        if let Some(sid) = &self.sid {
            statement.insert("Sid".into(), sid.clone().into());
        }
        statement.insert("Effect".into(), if self.effect == Effect::Allow { "Allow" } else { "Deny" }.into());
        for (key, principals) in [("Principal", &self.principals), ("NotPrincipal", &self.not_principals)] {
            if let Some(json) = principals_json(&principals.get()?)? {
                statement.insert(key.into(), json);
            }
        }
        for (key, values) in [
            ("Action", &self.actions),
            ("NotAction", &self.not_actions),
            ("Resource", &self.resources),
            ("NotResource", &self.not_resources),
        ] {
            if !values.0.is_empty() {
                statement.insert(key.into(), sorted(values)?.into());
            }
        }
        let mut conditions: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for condition in self.conditions.get()? {
            let keys = conditions.entry(condition.operator).or_default();
            keys.entry(condition.key.get()?.clone()).or_default().extend(sorted(&condition.values)?);
        }
        if !conditions.is_empty() {
            statement.insert("Condition".into(), json!(conditions));
        }
        Ok(Json::Object(statement))
    }
}

fn sorted(values: &Set<String>) -> Result<Vec<String>, Unresolved> {
    let mut values = values.get()?;
    values.sort();
    values.dedup();
    Ok(values)
}

fn principals_json(principals: &[Principal]) -> Result<Option<Json>, Unresolved> {
    if principals.is_empty() {
        return Ok(None);
    }
    if principals.iter().any(|p| p.kind == "*") {
        return Ok(Some("*".into()));
    }
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for principal in principals {
        kinds.entry(&principal.kind).or_default().extend(sorted(&principal.ids)?);
    }
    Ok(Some(json!(kinds)))
}

impl Principal {
    /// An AWS service, like `ecs-tasks.amazonaws.com`.
    pub fn service(name: &str) -> Self {
        Principal { kind: "Service".into(), ids: Set::from_iter([name]) }
    }

    /// A role or a user by its ARN, or an account by its number.
    pub fn aws(id: impl Into<Value<String>>) -> Self {
        Principal { kind: "AWS".into(), ids: Set(vec![by_account(id.into())]) }
    }

    /// An identity provider by its ARN.
    pub fn federated(arn: impl Into<Value<String>>) -> Self {
        Principal { kind: "Federated".into(), ids: Set(vec![arn.into()]) }
    }

    /// Everybody, even without credentials.
    pub fn everybody() -> Self {
        Principal { kind: "*".into(), ids: Set::from_iter(["*"]) }
    }
}

/// Services give an account back as the ARN of its root, whichever way it was written.
fn by_account(id: Value<String>) -> Value<String> {
    let Value::Known(id) = id else { return id };
    let parts: Vec<&str> = id.split(':').collect();
    match parts[..] {
        ["arn", _, "iam", "", account, "root"] => Value::Known(account.to_owned()),
        _ => Value::Known(id),
    }
}

/// The grammar, as liberal as services are.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    version: Option<String>,
    id: Option<String>,
    statement: OneOrMany<WrittenStatement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenStatement {
    sid: Option<String>,
    effect: Effect,
    principal: Option<WrittenPrincipal>,
    not_principal: Option<WrittenPrincipal>,
    action: Option<OneOrMany<Text>>,
    not_action: Option<OneOrMany<Text>>,
    resource: Option<OneOrMany<Text>>,
    not_resource: Option<OneOrMany<Text>>,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, OneOrMany<Text>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenPrincipal {
    Everybody(String),
    Kinds(BTreeMap<String, OneOrMany<Text>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

/// Condition values may be written as what they are.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    String(String),
    Bool(bool),
    Number(serde_json::Number),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::Many(items) => items,
            OneOrMany::One(item) => vec![item],
        }
    }
}
impl From<Text> for String {
    fn from(text: Text) -> Self {
        match text {
            Text::String(text) => text,
            Text::Bool(bool) => bool.to_string(),
            Text::Number(number) => number.to_string(),
        }
    }
}

impl From<Written> for PolicyDocument {
    fn from(written: Written) -> Self {
        PolicyDocument {
            version: written.version.unwrap_or_else(|| OLD_VERSION.into()),
            id: written.id,
            statements: written.statement.into_vec().into_iter().map(Into::into).collect(),
        }
    }
}
impl From<WrittenStatement> for Statement {
    fn from(written: WrittenStatement) -> Self {
        let conditions = written.condition.into_iter().flat_map(|(operator, keys)| {
            keys.into_iter().map(move |(key, values)| Condition {
                operator: operator.clone(),
                key: key.into(),
                values: set(Some(values)),
            })
        });
        Statement {
            sid: written.sid.filter(|sid| !sid.is_empty()),
            effect: written.effect,
            principals: principals(written.principal),
            not_principals: principals(written.not_principal),
            actions: set(written.action),
            not_actions: set(written.not_action),
            resources: set(written.resource),
            not_resources: set(written.not_resource),
            conditions: conditions.collect(),
        }
    }
}

fn set(values: Option<OneOrMany<Text>>) -> Set<String> {
    values.map(OneOrMany::into_vec).unwrap_or_default().into_iter().map(String::from).collect()
}

fn principals(written: Option<WrittenPrincipal>) -> Set<Principal> {
    match written {
        None => Set::default(),
        Some(WrittenPrincipal::Everybody(all)) => {
            Set::from_iter([Principal { kind: all.clone(), ids: Set::from_iter([all]) }])
        }
        Some(WrittenPrincipal::Kinds(kinds)) => kinds
            .into_iter()
            .map(|(kind, ids)| {
                let ids = set(Some(ids));
                let ids = if kind == "AWS" { Set(ids.0.into_iter().map(by_account).collect()) } else { ids };
                Principal { kind, ids }
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::{Address, text};

    fn json(document: &PolicyDocument) -> Json {
        serde_json::to_value(document).unwrap()
    }

    #[test]
    fn spellings_of_one_meaning_are_equal() {
        let one = r#"{ "Version": "2012-10-17", "Statement": { "Sid": "", "Effect": "Allow",
            "Principal": { "AWS": "111122223333" }, "Action": "s3:GetObject", "Resource": ["b", "a"],
            "Condition": { "Bool": { "aws:SecureTransport": true } } } }"#;
        let other = r#"{ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "AWS": ["arn:aws:iam::111122223333:root"] }, "Action": ["s3:GetObject"],
            "Resource": ["a", "b"], "Condition": { "Bool": { "aws:SecureTransport": ["true"] } } }] }"#;
        assert_eq!(json(&PolicyDocument::parse(one).unwrap()), json(&PolicyDocument::parse(other).unwrap()));
        let wider = other.replace("true", "false");
        assert_ne!(json(&PolicyDocument::parse(one).unwrap()), json(&PolicyDocument::parse(&wider).unwrap()));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let document = PolicyDocument::new([
            Statement::allow(["sns:Publish", "sns:GetTopicAttributes"], ["arn:aws:sns:us-east-1:1:t"])
                .to([Principal::service("cloudwatch.amazonaws.com"), Principal::aws("111122223333")])
                .when("StringEquals", "aws:SourceAccount", ["1"])
                .when("ArnLike", "aws:SourceArn", ["arn:b", "arn:a"]),
            Statement { effect: Effect::Deny, ..Statement::allow(["*"], ["*"]) }.to([Principal::everybody()]),
        ]);
        let text = document.text().unwrap();
        assert_eq!(json(&PolicyDocument::parse(&text).unwrap()), json(&document));
        assert!(text.contains(r#""Principal":"*""#), "{text}");
    }

    #[test]
    fn keys_and_resources_may_come_from_others() {
        let host = Value::<String>::reference(&Address::from("cluster"), "oidc_host");
        let document = PolicyDocument::new([Statement::assume(
            "sts:AssumeRoleWithWebIdentity",
            Principal::federated(Value::<String>::reference(&Address::from("oidc"), "arn")),
        )
        .when("StringEquals", text!(host, ":aud"), ["sts.amazonaws.com"])]);
        assert!(document.text().is_err());
        let known = causeway_core::value::resolve(&json(&document), &|r| Some(json!(format!("<{r}>"))));
        let known: PolicyDocument = serde_json::from_value(known).unwrap();
        assert!(known.text().unwrap().contains(r#""<cluster#oidc_host>:aud""#));
    }

    #[test]
    fn a_statement_that_was_turned_around_differs() {
        let allow = PolicyDocument::new([Statement::allow(["s3:GetObject"], ["*"])]);
        let text = allow.text().unwrap().replace("Action", "NotAction");
        assert_ne!(json(&PolicyDocument::parse(&text).unwrap()), json(&allow));
    }

    #[test]
    fn broken_documents_are_refused() {
        assert!(PolicyDocument::parse("{").is_err());
        assert!(PolicyDocument::parse(r#"{ "Statement": [{ "Effect": "Perhaps" }] }"#).is_err());
    }
}
